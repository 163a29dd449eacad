-- Vectors of chunks, at 16 bits a number and of length 1, so that the inner product is the cosine. No dimension here: each
-- generation has its own, and where it is large an index of its own.
CREATE TABLE chunk_vectors (
  chunk_id   bigint NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
  generation integer NOT NULL,
  kb_id      integer NOT NULL,
  embedding  halfvec NOT NULL,
  PRIMARY KEY (chunk_id, generation)
);
ALTER TABLE chunk_vectors ALTER COLUMN embedding SET STORAGE MAIN; -- in the row, where an exact search reads it
CREATE INDEX chunk_vectors_generation ON chunk_vectors (kb_id, generation);
