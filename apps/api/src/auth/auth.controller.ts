import { Body, Controller, Get, HttpCode, Post, Put, UseGuards, UseInterceptors } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { LoginGuard } from '@yuxi/throttler';
import { z } from 'zod';
import { ApiAnswer } from '../http/index.js';
import { CurrentUser, Public } from './auth.decorators.js';
import { initializeBody, profileBody, tokenBody } from './auth.schemas.js';
import type { InitializeBody, ProfileBody, TokenBody } from './auth.schemas.js';
import type { Caller } from './caller.js';
import { FirstRun } from './first-run.js';
import { LoginOutcomeInterceptor } from './login-outcome.interceptor.js';
import { LoginService } from './login.service.js';
import { tokenView, toUserView, userView } from './user.views.js';
import { UsersService } from './users.service.js';

@ApiTags('auth')
@Controller('api/auth')
export class AuthController {
  constructor(
    private readonly firstRun: FirstRun,
    private readonly logins: LoginService,
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
  @UseGuards(LoginGuard)
  @UseInterceptors(LoginOutcomeInterceptor)
  @ApiOperation({ summary: 'Log in with login name or phone number and password' })
  @ApiConsumes('application/json', 'application/x-www-form-urlencoded')
  @ApiAnswer(200, 'A token for the header Authorization: Bearer', tokenView)
  login(@Body({ schema: tokenBody }) body: TokenBody) {
    return this.logins.login(body);
  }

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
