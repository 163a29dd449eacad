import { parentPort, type TransferListItem, workerData } from 'node:worker_threads';
import { PGlite, type Results, type Transaction } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import {
  BYTEA,
  DATES,
  ERROR_FIELDS,
  type PgliteCommand,
  type PgliteMessage,
  type PgliteRequest,
  type PgliteResults,
  type PgliteStatement,
  type PgliteWorkerData,
  type SerializedError,
} from './pglite-protocol.js';

// Runs the embedded database in a worker thread, so that no statement blocks the event loop of the process.

const INT8 = 20;
/** Keep the write-ahead log small, because PGlite has no background processes. */
const WAL_LIMITS = ['-c', 'min_wal_size=32MB', '-c', 'max_wal_size=64MB'];

const port = parentPort!;
const { folder, setup } = workerData as PgliteWorkerData;

/** In memory of its own, which can be transferred to the main thread. */
function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow((text.length - 2) / 2);
  bytes.write(text.slice(2), 'hex');
  return bytes;
}

/** PGlite's own serializer makes a string for each byte, which takes half a second for a megabyte. */
function bytea(value: Uint8Array): string {
  return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
}

const asText = (value: string) => value;

class RolledBack extends Error {}

class OpenTransaction {
  readonly #ended = new AbortController();
  /** Resolves when it is committed or rolled back. */
  #run: Promise<void> = Promise.resolve();
  session!: Transaction;

  static begin(): Promise<OpenTransaction> {
    return new Promise((resolve, reject) => {
      const open = new OpenTransaction();
      open.#run = pglite.transaction(async (session) => {
        open.session = session;
        resolve(open);
        await new Promise<void>((commit, rollback) => {
          open.#ended.signal.addEventListener('abort', () =>
            open.#ended.signal.reason === 'commit' ? commit() : rollback(new RolledBack()),
          );
        });
      });
      open.#run.catch(reject);
    });
  }

  async end(how: 'commit' | 'rollback'): Promise<void> {
    this.#ended.abort(how);
    await this.#run.catch((error: unknown) => {
      if (!(error instanceof RolledBack)) throw error;
    });
  }
}

const transactions = new Map<number, OpenTransaction>();
const channels = new Map<string, () => Promise<void>>();

function sessionOf(tx?: number): PGlite | Transaction {
  if (tx === undefined) return pglite;
  const open = transactions.get(tx);
  if (!open) throw new Error('the transaction has ended');
  return open.session;
}

async function execute(command: Exclude<PgliteCommand, { type: 'query' }>): Promise<void> {
  switch (command.type) {
    case 'script':
      await sessionOf(command.tx).exec(command.text);
      break;
    case 'begin':
      transactions.set(command.tx, await OpenTransaction.begin());
      break;
    case 'commit':
    case 'rollback':
      await end(command.tx, command.type);
      break;
    case 'listen': {
      const { channel } = command;
      channels.set(channel, await pglite.listen(channel, (payload) => post({ channel, payload })));
      break;
    }
    case 'unlisten':
      await channels.get(command.channel)?.();
      channels.delete(command.channel);
      break;
    case 'close':
      await pglite.close();
      break;
    case 'ping':
  }
}

async function end(tx: number, how: 'commit' | 'rollback'): Promise<void> {
  const open = transactions.get(tx);
  transactions.delete(tx);
  await open?.end(how);
}

async function query({ text, params = [], rowMode, asText: types, tx }: PgliteStatement): Promise<PgliteResults> {
  const parsers = types && Object.fromEntries(types.map((type) => [type, asText]));
  const results = await sessionOf(tx).query<Record<string, unknown>>(text, [...params], { rowMode, parsers });
  const { rows, fields, affectedRows } = results;
  return { rows, fields, affectedRows };
}

/** The bytes in the results, which are transferred instead of copied. */
function transferListOf({
  rows,
  fields,
}: Pick<Results<Record<string, unknown>>, 'rows' | 'fields'>): TransferListItem[] {
  const found: TransferListItem[] = [];
  fields.forEach(({ name, dataTypeID }, index) => {
    if (dataTypeID !== BYTEA) return;
    for (const row of rows) {
      const value = Array.isArray(row) ? (row[index] as unknown) : row[name];
      if (value instanceof Uint8Array) found.push(value.buffer as ArrayBuffer);
    }
  });
  return found;
}

function serialize(error: unknown): SerializedError {
  const given = error as Partial<Record<string, string>>;
  const fields = ERROR_FIELDS.filter((field) => given[field] !== undefined).map((field) => [field, given[field]]);
  // After an error of the WebAssembly runtime PostgreSQL cannot continue.
  const broken = error instanceof Error && error.name === 'RuntimeError' && { severity: 'PANIC' };
  return { ...Object.fromEntries(fields), ...broken, message: error instanceof Error ? error.message : String(error) };
}

function post(message: PgliteMessage, transferList: TransferListItem[] = []): void {
  port.postMessage(message, transferList);
}

async function handle({ id, command }: PgliteRequest): Promise<void> {
  try {
    if (command.type === 'query') {
      const results = await query(command);
      post({ id, results }, transferListOf(results));
    } else {
      await execute(command);
      post({ id });
    }
  } catch (error) {
    post({ id, error: serialize(error) });
  }
}

async function openDatabase(): Promise<PGlite> {
  const opened = await PGlite.create({
    dataDir: folder ?? 'memory://',
    extensions: { vector },
    parsers: { [INT8]: Number, [BYTEA]: bytesOf, ...Object.fromEntries(DATES.map((type) => [type, asText])) },
    serializers: { [BYTEA]: bytea },
    startParams: [...PGlite.defaultStartParams, ...WAL_LIMITS],
  });
  await opened.exec(setup);
  return opened;
}

let pglite: PGlite;
try {
  pglite = await openDatabase();
  port.on('message', (request: PgliteRequest) => void handle(request));
  post({ opened: true });
} catch (error) {
  post({ error: serialize(error) });
}
