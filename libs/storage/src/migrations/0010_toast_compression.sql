-- Texts and contents of megabytes are compressed by lz4, or not at all where the server has no lz4, as the embedded one: pglz took most
-- of the time of their statements. Counts for what is stored from now on.
DO $$
BEGIN
  ALTER TABLE files ALTER COLUMN markdown SET COMPRESSION lz4;
  ALTER TABLE blob_parts ALTER COLUMN content SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  ALTER TABLE files ALTER COLUMN markdown SET STORAGE EXTERNAL;
  ALTER TABLE blob_parts ALTER COLUMN content SET STORAGE EXTERNAL;
END $$;
