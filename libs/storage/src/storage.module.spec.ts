import { expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { BLOB_STORE, DATABASE, StorageInfo, StorageModule, users, type BlobStore, type Database } from './index.js';

const useFactory = () => ({ migrations: [{ id: 'other/1', sql: 'CREATE TABLE other (id int)' }] });

it('StorageModule provides one migrated database under every token', async () => {
  const moduleRef = await Test.createTestingModule({
    imports: [StorageModule.forRootAsync({ useFactory })],
  }).compile();
  const app = await moduleRef.init();
  await app
    .get<Database>(DATABASE)
    .insert(users)
    .values({ userId: 'a', username: 'a', passwordHash: 'x', role: 'user' });
  expect(
    (await app.get<SqlClient>(SQL_CLIENT).query('SELECT user_id FROM users, (SELECT count(*) FROM other) AS o')).rows,
  ).toEqual([{ user_id: 'a' }]);
  expect((await app.get<BlobStore>(BLOB_STORE).put(Buffer.from('abc'))).size).toBe(3);
  expect(app.get(StorageInfo)).toMatchObject({ driver: 'pglite', vector: true });
  await app.close();
  await expect(app.get<SqlClient>(SQL_CLIENT).query('SELECT 1')).rejects.toThrow();
});
