-- Large documents are indexed in many short transactions. What is written so is hidden until one transaction shows all of it.

-- Ids of chunks that searches do not see: being written, or being removed. Null for most files.
ALTER TABLE files ADD COLUMN hidden_chunks int8multirange;
CREATE INDEX files_hidden_chunks ON files (kb_id) WHERE hidden_chunks IS NOT NULL;

-- Numbers of blocks of chunk ids: a document that is written in steps has one block, so that one range says what is hidden.
CREATE SEQUENCE chunk_blocks;

-- A hidden chunk has a negative chunk_index, and a mark before its chunk_id; so the unique keys hold among the visible ones.

-- A foreign key is checked row by row, which took half of the time of writing postings. Chunks take their postings along all the same.
ALTER TABLE postings DROP CONSTRAINT postings_chunk_id_fkey;
CREATE FUNCTION delete_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- An array, so that the plan, which is kept, uses the index however many there were the first time.
  DELETE FROM postings WHERE chunk_id = ANY (ARRAY(SELECT id FROM gone));
  RETURN NULL;
END $$;
CREATE TRIGGER chunks_delete_postings AFTER DELETE ON chunks
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_postings();
