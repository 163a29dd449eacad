-- Generations of the vector index, deletion in steps, and re-indexing that keeps what has not changed.

-- All vectors of a knowledge base that one model made. databases.index_generation says which of them answers.
CREATE TABLE index_generations (
  kb_id       integer NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
  generation  integer NOT NULL,
  model       jsonb NOT NULL,                    -- what the vectors are made by; secrets as references
  fingerprint text NOT NULL,                     -- of what in it decides the vectors
  state       text NOT NULL CHECK (state IN ('building', 'live', 'retired', 'failed')),
  error       text,                              -- why it failed
  saga_id     text,                              -- what builds it
  has_index   boolean NOT NULL DEFAULT false,    -- of the vectors; small generations are searched without
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kb_id, generation)
);
CREATE UNIQUE INDEX index_generations_one_building ON index_generations (kb_id) WHERE state = 'building';

ALTER TABLE databases DROP COLUMN embed_info;    -- what the live generation says
ALTER TABLE databases ADD COLUMN deleted_at timestamptz; -- hidden from everybody; its rows go step by step
ALTER TABLE databases DROP CONSTRAINT databases_name_key;
CREATE UNIQUE INDEX databases_name ON databases (name) WHERE deleted_at IS NULL;

ALTER TABLE files ADD COLUMN analyzer text;      -- version of the rules that made its postings

-- Chunks that stay change their places within one statement.
ALTER TABLE chunks DROP CONSTRAINT chunks_file_id_chunk_index_key;
ALTER TABLE chunks ADD UNIQUE (file_id, chunk_index) DEFERRABLE INITIALLY IMMEDIATE;
CREATE INDEX chunks_kb ON chunks (kb_id);
