import { Body, Controller, Get, HttpCode, Post, Put, Req, Res, UseInterceptors } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { LimitLogins, RateLimit } from '@yuxi/throttler';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { ApiResponseSchema } from '../http/index.js';
import { CurrentUser, KeyAccess, Public, SessionOnly } from './auth.decorators.js';
import {
  changePasswordBody,
  initializeBody,
  logoutBody,
  profileBody,
  refreshBody,
  tokenBody,
  tokenView,
  toUserView,
  userView,
} from './auth.schemas.js';
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
import { LoginLimits, LoginOutcomeInterceptor, LoginService, type LoginHttpRequest } from './login.service.js';
import { PasswordChange } from './password-change.js';
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
  @ApiOperation({ summary: 'Show whether the administrator has still to be created' })
  @ApiResponseSchema(200, 'first_run is true until initialize has succeeded', z.object({ first_run: z.boolean() }))
  async checkFirstRun() {
    return { first_run: await this.firstRun.isOpen() };
  }

  @Public()
  @RateLimit('tokens')
  @Post('initialize')
  @HttpCode(200)
  @ApiOperation({ summary: 'Create the administrator. Works once' })
  @ApiResponseSchema(200, 'Tokens of the new administrator', tokenView)
  async initialize(@Body({ schema: initializeBody }) body: InitializeBody) {
    return this.logins.openFor(await this.firstRun.initialize(body));
  }

  @Public()
  @Post('token')
  @HttpCode(200)
  @LimitLogins()
  @UseInterceptors(LoginOutcomeInterceptor)
  @ApiOperation({ summary: 'Log in with login name or phone number and password' })
  @ApiConsumes('application/json', 'application/x-www-form-urlencoded')
  @ApiResponseSchema(200, 'Tokens; send the access token as Authorization: Bearer', tokenView)
  async login(
    @Body({ schema: tokenBody }) body: TokenBody,
    @Req() request: LoginHttpRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { tokens, deviceCookie } = await this.logins.login(body, request);
    void reply.header('set-cookie', deviceCookie);
    return tokens;
  }

  @Public()
  @RateLimit('tokens')
  @Post('refresh')
  @HttpCode(200)
  @ApiOperation({ summary: 'Exchange a refresh token for new tokens. Each refresh token works once' })
  @ApiResponseSchema(200, 'New tokens of the same session', tokenView)
  refresh(@Body({ schema: refreshBody }) { refresh_token }: RefreshBody) {
    return this.logins.refresh(refresh_token);
  }

  @Post('logout')
  @HttpCode(200)
  @ApiOperation({ summary: 'End this session, or all your sessions with everywhere' })
  @ApiResponseSchema(200, 'The session has ended', z.object({ message: z.string() }))
  async logout(@CurrentUser() caller: Caller, @Body({ schema: logoutBody }) { everywhere }: LogoutBody) {
    await this.logins.logout(caller, everywhere);
    return { message: 'logged out' };
  }

  @Put('password')
  @LimitLogins()
  @UseInterceptors(LoginOutcomeInterceptor)
  @ApiOperation({ summary: 'Change your password. This ends all your other sessions' })
  @ApiResponseSchema(200, 'New tokens of this session. The old ones are no longer valid', tokenView)
  async changePassword(
    @CurrentUser() caller: Caller,
    @Body({ schema: changePasswordBody }) body: ChangePasswordBody,
    @Req() request: LoginHttpRequest,
  ) {
    await this.limits.countConfirmation(request, caller);
    return this.passwords.change(caller, body);
  }

  @KeyAccess('read')
  @Get('me')
  @ApiOperation({ summary: 'Get the user of the token' })
  @ApiResponseSchema(200, 'The user', userView)
  async me(@CurrentUser() caller: Caller) {
    return toUserView(await this.users.me(caller));
  }

  @Put('profile')
  @ApiOperation({ summary: 'Change your user name or phone number' })
  @ApiResponseSchema(200, 'The changed user', userView)
  async profile(@CurrentUser() caller: Caller, @Body({ schema: profileBody }) body: ProfileBody) {
    return toUserView(await this.users.updateProfile(caller, body));
  }
}
