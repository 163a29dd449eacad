// One process of an application that uses the packages. Its parent sends commands.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule, Indexer } from './example-1.js';

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
const indexer = app.get(Indexer);
const handlers = {
  index: ({ db, file }) => indexer.index(db, file),
  byHand: () => indexer.byHand(),
};

async function handle({ command, ...params }) {
  if (command === 'go') process.emit(`go ${params.file}`);
  else if (command === 'close') {
    await app.close();
    process.disconnect();
  } else {
    const outcome = await handlers[command](params).then(
      () => ({ event: 'done' }),
      (error) => ({ event: 'failed', error: String(error) }),
    );
    process.send({ ...outcome, command, ...params });
  }
}

process.on('message', (message) => void handle(message));
process.send({ event: 'ready' });
