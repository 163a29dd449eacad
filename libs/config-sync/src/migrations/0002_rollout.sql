-- Which schema a revision was checked against: the first digits of the hash of the sections' JSON Schema.
ALTER TABLE config_revision ADD COLUMN schema_version text NOT NULL DEFAULT '';

-- What each replica serves, by its own word. A row stays when its replica goes silent: only a replica that takes leave
-- removes it, or an hour.
CREATE TABLE config_replica (
  scope      text NOT NULL,
  replica    text NOT NULL,
  instance   text NOT NULL,                       -- of the process; two that claim one name find out by it
  epoch      text,                                -- in force; NULL: nothing was read yet
  revision   bigint,
  hash       text,
  refused    bigint,                              -- revision that this replica could not apply
  reason     text,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, replica)
) WITH (fillfactor = 50);
