import { Test } from '@nestjs/testing';
import { REDIS_CONNECTION } from '@yuxi/redis';
import { Redis } from 'ioredis';
import { AppModule } from './example-1.js';

const url = process.env.REDIS_URL!;
// README
export { module };
