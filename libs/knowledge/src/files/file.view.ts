import type { SqlClient } from '@yuxi/core';
import type { FileStatus } from '@yuxi/storage';

/** A document in the `files` map of a database. */
export interface FileEntry {
  file_id: string;
  filename: string;
  /** Handle of the upload. */
  path: string;
  /** The same handle once the markdown exists, else empty. */
  markdown_file: string;
  type: string;
  status: FileStatus;
  /** ISO 8601, UTC. */
  created_at: string;
  is_folder: false;
  parent_id: null;
}

/** A document without its text. */
export interface FileMeta extends FileEntry {
  size: number;
  content_hash: string;
  error: string | null;
  processing_params: Record<string, unknown>;
  /** Completed indexings. */
  index_count: number;
  chunk_count: number;
  token_count: number;
  updated_at: string;
}

interface FileRow extends Omit<FileMeta, 'markdown_file' | 'is_folder' | 'parent_id' | 'created_at' | 'updated_at'> {
  parsed: boolean;
  created_at: Date | string;
  updated_at: Date | string;
}

const COLUMNS = `f.file_id, f.filename, f.upload_handle AS path, f.type, f.status, f.markdown IS NOT NULL AS parsed,
  f.created_at, f.updated_at, f.size::float8 AS size, f.content_hash, f.error, f.params AS processing_params, f.index_count,
  f.chunk_count, f.token_count`;

/** The documents of a database: uploads that were added to it. */
export async function listFiles(sql: SqlClient, kbId: number): Promise<Record<string, FileEntry>> {
  const { rows } = await sql.query<FileRow>(
    `SELECT ${COLUMNS} FROM files f WHERE f.kb_id = $1 AND f.added ORDER BY f.id`,
    [kbId],
  );
  return Object.fromEntries(rows.map((row) => [row.file_id, entryOf(row)]));
}

/** One document or upload of a database, by its file id. */
export async function readFileMeta(sql: SqlClient, kbId: number, fileId: string): Promise<FileMeta | undefined> {
  const { rows } = await sql.query<FileRow>(`SELECT ${COLUMNS} FROM files f WHERE f.kb_id = $1 AND f.file_id = $2`, [
    kbId,
    fileId,
  ]);
  if (!rows[0]) return undefined;
  const { parsed: _parsed, ...row } = rows[0];
  return { ...row, ...entryOf(rows[0]), updated_at: new Date(row.updated_at).toISOString() };
}

function entryOf(row: FileRow): FileEntry {
  const { file_id, filename, path, type, status } = row;
  return {
    file_id,
    filename,
    path,
    markdown_file: row.parsed ? path : '',
    type,
    status,
    created_at: new Date(row.created_at).toISOString(),
    is_folder: false,
    parent_id: null,
  };
}
