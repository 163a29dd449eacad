import { parentPort, type TransferListItem, workerData } from 'node:worker_threads';
import { PGlite, type Results, type Transaction } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import {
  BYTEA,
  DATES,
  ERROR_FIELDS,
  type PgliteNews,
  type PgliteOrder,
  type PgliteRequest,
  type PgliteResults,
  type PgliteThreadData,
  type StatementOrder,
  type ToldError,
} from './pglite-orders.js';

// Keeps the embedded database, so that no statement holds up the event loop of the process.

const INT8 = 20;
/** PGlite is without the background processes of a server: what was written since the last checkpoint is small all the same. */
const WAL_LIMITS = ['-c', 'min_wal_size=32MB', '-c', 'max_wal_size=64MB'];

const port = parentPort!;
const { folder, setup } = workerData as PgliteThreadData;

/** In memory of its own, which can be handed over to the main thread. */
function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow((text.length - 2) / 2);
  bytes.write(text.slice(2), 'hex');
  return bytes;
}

/** PGlite makes a text for each byte: that takes half a second for a megabyte. */
function bytea(value: Uint8Array): string {
  return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
}

const unread = (value: string) => value;

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

class RolledBack extends Error {}

const transactions = new Map<number, OpenTransaction>();
const channels = new Map<string, () => Promise<void>>();

function sessionOf(tx?: number): PGlite | Transaction {
  if (tx === undefined) return pglite;
  const open = transactions.get(tx);
  if (!open) throw new Error('the transaction has ended');
  return open.session;
}

async function act(order: Exclude<PgliteOrder, { do: 'query' }>): Promise<void> {
  switch (order.do) {
    case 'script':
      await sessionOf(order.tx).exec(order.text);
      break;
    case 'begin':
      transactions.set(order.tx, await OpenTransaction.begin());
      break;
    case 'commit':
    case 'rollback':
      await end(order.tx, order.do);
      break;
    case 'listen': {
      const { channel } = order;
      channels.set(channel, await pglite.listen(channel, (payload) => tell({ channel, payload })));
      break;
    }
    case 'unlisten':
      await channels.get(order.channel)?.();
      channels.delete(order.channel);
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

async function query({ text, params = [], rowMode, asText: raw, tx }: StatementOrder): Promise<PgliteResults> {
  const parsers = raw && Object.fromEntries(raw.map((type) => [type, unread]));
  const results = await sessionOf(tx).query<Record<string, unknown>>(text, [...params], { rowMode, parsers });
  const { rows, fields, affectedRows } = results;
  return { rows, fields, affectedRows };
}

/** The contents in an answer, which are handed over instead of copied. */
function contentsOf({ rows, fields }: Pick<Results<Record<string, unknown>>, 'rows' | 'fields'>): TransferListItem[] {
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

function told(error: unknown): ToldError {
  const given = error as Partial<Record<string, string>>;
  const fields = ERROR_FIELDS.filter((field) => given[field] !== undefined).map((field) => [field, given[field]]);
  // What the WebAssembly of it throws leaves PostgreSQL in no state to go on.
  const broken = error instanceof Error && error.name === 'RuntimeError' && { severity: 'PANIC' };
  return { ...Object.fromEntries(fields), ...broken, message: error instanceof Error ? error.message : String(error) };
}

function tell(news: PgliteNews, contents: TransferListItem[] = []): void {
  port.postMessage(news, contents);
}

async function answer({ id, order }: PgliteRequest): Promise<void> {
  try {
    if (order.do === 'query') {
      const results = await query(order);
      tell({ id, results }, contentsOf(results));
    } else {
      await act(order);
      tell({ id });
    }
  } catch (error) {
    tell({ id, error: told(error) });
  }
}

async function openDatabase(): Promise<PGlite> {
  const opened = await PGlite.create({
    dataDir: folder ?? 'memory://',
    extensions: { vector },
    parsers: { [INT8]: Number, [BYTEA]: bytesOf, ...Object.fromEntries(DATES.map((type) => [type, unread])) },
    serializers: { [BYTEA]: bytea },
    startParams: [...PGlite.defaultStartParams, ...WAL_LIMITS],
  });
  await opened.exec(setup);
  return opened;
}

let pglite: PGlite;
try {
  pglite = await openDatabase();
  port.on('message', (request: PgliteRequest) => void answer(request));
  tell({ opened: true });
} catch (error) {
  tell({ error: told(error) });
}
