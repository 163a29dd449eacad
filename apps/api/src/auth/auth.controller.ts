import { Body, Controller, Get, HttpCode, Post, Put, Req, Res, UseInterceptors } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { LimitLogins, RateLimit } from '@yuxi/throttler';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { ApiAnswer } from '../http/index.js';
import { CurrentUser, KeyAccess, Public, SessionOnly } from './auth.decorators.js';
import { changePasswordBody, initializeBody, logoutBody, profileBody, refreshBody, tokenBody } from './auth.schemas.js';
import type {
  ChangePasswordBody,
  InitializeBody,
  LogoutBody,
  ProfileBody,
  RefreshBody,
  TokenBody,
} from './auth.schemas.js';
import type { Caller } from './caller.js';
import { FirstRun } from './first-run.js';
import { LoginLimits, type LoginEntry } from './login-limits.js';
import { LoginOutcomeInterceptor } from './login-outcome.interceptor.js';
import { LoginService } from './login.service.js';
import { PasswordChange } from './passwords/password-change.js';
import { tokenView, toUserView, userView } from './user.views.js';
import { UsersService } from './users.service.js';

@ApiTags('auth')
@SessionOnly()
@Controller('api/auth')
export class AuthController {
  constructor(
    private readonly firstRun: FirstRun,
    private readonly logins: LoginService,
    private readonly limits: LoginLimits,
    private readonly passwords: PasswordChange,
    private readonly users: UsersService,
  ) {}

  @Public()
  @Get('check-first-run')
  @ApiOperation({ summary: 'Whether the administrator has still to be created' })
  @ApiAnswer(200, 'True until initialize was called', z.object({ first_run: z.boolean() }))
  async checkFirstRun() {
    return { first_run: await this.firstRun.isOpen() };
  }

  @Public()
  @RateLimit('tokens')
  @Post('initialize')
  @HttpCode(200)
  @ApiOperation({ summary: 'Create the administrator; works once' })
  @ApiAnswer(200, 'A token of the new administrator', tokenView)
  async initialize(@Body({ schema: initializeBody }) body: InitializeBody) {
    return this.logins.answerFor(await this.firstRun.initialize(body));
  }

  @Public()
  @Post('token')
  @HttpCode(200)
  @LimitLogins()
  @UseInterceptors(LoginOutcomeInterceptor)
  @ApiOperation({ summary: 'Log in with login name or phone number and password' })
  @ApiConsumes('application/json', 'application/x-www-form-urlencoded')
  @ApiAnswer(200, 'A token for the header Authorization: Bearer', tokenView)
  async login(
    @Body({ schema: tokenBody }) body: TokenBody,
    @Req() entry: LoginEntry,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { answer, deviceCookie } = await this.logins.login(body, entry);
    void reply.header('set-cookie', deviceCookie);
    return answer;
  }

  @Public()
  @RateLimit('tokens')
  @Post('refresh')
  @HttpCode(200)
  @ApiOperation({ summary: 'Exchange a refresh token for new tokens; each works once' })
  @ApiAnswer(200, 'New tokens of the same session', tokenView)
  refresh(@Body({ schema: refreshBody }) { refresh_token }: RefreshBody) {
    return this.logins.refresh(refresh_token);
  }

  @Post('logout')
  @HttpCode(200)
  @ApiOperation({ summary: 'End this session, or with everywhere all sessions of the user' })
  @ApiAnswer(200, 'Done', z.object({ message: z.string() }))
  async logout(@CurrentUser() caller: Caller, @Body({ schema: logoutBody }) { everywhere }: LogoutBody) {
    await this.logins.logout(caller, everywhere);
    return { message: 'logged out' };
  }

  @Put('password')
  @LimitLogins()
  @UseInterceptors(LoginOutcomeInterceptor)
  @ApiOperation({ summary: 'Change the own password; ends all other sessions' })
  @ApiAnswer(200, 'New tokens of this session, whose old ones no longer count', tokenView)
  async changePassword(
    @CurrentUser() caller: Caller,
    @Body({ schema: changePasswordBody }) body: ChangePasswordBody,
    @Req() entry: LoginEntry,
  ) {
    await this.limits.confirm(entry, caller);
    return this.passwords.change(caller, body);
  }

  @KeyAccess('read')
  @Get('me')
  @ApiOperation({ summary: 'The user behind the token' })
  @ApiAnswer(200, 'The user', userView)
  async me(@CurrentUser() caller: Caller) {
    return toUserView(await this.users.me(caller));
  }

  @Put('profile')
  @ApiOperation({ summary: 'Change the own name or phone number' })
  @ApiAnswer(200, 'The user as it is now', userView)
  async profile(@CurrentUser() caller: Caller, @Body({ schema: profileBody }) body: ProfileBody) {
    return toUserView(await this.users.updateProfile(caller, body));
  }
}
