import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';

export class Credentials {
  username!: string;
  password!: string;
  device?: string;
}

export const hash = (text: string) => createHash('sha256').update(text).digest('hex');

@Injectable()
export class Users {
  async find(name: string): Promise<{ id: string } | undefined> {
    return name === 'ann' ? { id: '1' } : undefined;
  }

  async fits(user: { id: string } | undefined, password: string): Promise<boolean> {
    return user !== undefined && password === 'correct horse';
  }
}
