import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ApiResponseSchema, idParam } from '../http/index.js';
import { CurrentUser, Roles, SessionOnly } from './auth.decorators.js';
import { createUserBody, toUserView, updateUserBody, usersQuery, userView } from './auth.schemas.js';
import type { CreateUserBody, UpdateUserBody } from './auth.schemas.js';
import type { Caller } from './caller.js';
import { UsersService } from './users.service.js';

@ApiTags('auth')
@Roles('admin')
@SessionOnly()
@Controller('api/auth/users')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get()
  @ApiOperation({ summary: 'List users. The superadmin sees all, an admin those of the same department' })
  @ApiResponseSchema(200, 'One page, in the order of creation', z.array(userView))
  async list(
    @CurrentUser() caller: Caller,
    @Query({ schema: usersQuery }) { page, limit }: z.output<typeof usersQuery>,
  ) {
    return (await this.users.list(caller, page, limit)).map(toUserView);
  }

  @Post()
  @HttpCode(201)
  @ApiOperation({ summary: 'Create a user' })
  @ApiResponseSchema(201, 'The new user', userView)
  async create(@CurrentUser() caller: Caller, @Body({ schema: createUserBody }) body: CreateUserBody) {
    return toUserView(await this.users.create(caller, body));
  }

  @Get(':id')
  @ApiOperation({ summary: 'Get a user' })
  @ApiResponseSchema(200, 'The user', userView)
  async get(@CurrentUser() caller: Caller, @Param('id', { schema: idParam }) id: number) {
    return toUserView(await this.users.get(caller, id));
  }

  @Put(':id')
  @ApiOperation({ summary: 'Change a user. A new role or password ends the sessions of the user' })
  @ApiResponseSchema(200, 'The changed user', userView)
  async update(
    @CurrentUser() caller: Caller,
    @Param('id', { schema: idParam }) id: number,
    @Body({ schema: updateUserBody }) body: UpdateUserBody,
  ) {
    return toUserView(await this.users.update(caller, id, body));
  }

  @Delete(':id')
  @ApiOperation({ summary: 'Delete a user. The login name stays reserved' })
  @ApiResponseSchema(200, 'The user is deleted', z.object({ message: z.string() }))
  async remove(@CurrentUser() caller: Caller, @Param('id', { schema: idParam }) id: number) {
    await this.users.remove(caller, id);
    return { message: 'deleted' };
  }
}
