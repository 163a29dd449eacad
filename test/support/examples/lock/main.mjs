// One process of an application made from the packages alone. Does what its parent says.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule, Indexer } from './example-1.js';

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
const indexer = app.get(Indexer);
const orders = {
  index: ({ db, file }) => indexer.index(db, file),
  byHand: () => indexer.byHand(),
};

async function obey({ order, ...how }) {
  if (order === 'go') process.emit(`go ${how.file}`);
  else if (order === 'close') {
    await app.close();
    process.disconnect();
  } else {
    const outcome = await orders[order](how).then(
      () => ({ event: 'done' }),
      (error) => ({ event: 'failed', error: String(error) }),
    );
    process.send({ ...outcome, order, ...how });
  }
}

process.on('message', (message) => void obey(message));
process.send({ event: 'ready' });
