-- The truth: one head row per scope. Its lock orders all writers, so revisions have no gaps.

CREATE TABLE config_head (
  scope      text PRIMARY KEY,
  epoch      text NOT NULL,                       -- changes when a restored database made the head go back
  revision   bigint NOT NULL CHECK (revision >= 0),
  hash       text NOT NULL,                       -- SHA-256 of the canonical JSON of the snapshot
  snapshot   jsonb NOT NULL,                      -- what was set; everything else has its default
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Every revision that ever was: who, when, why, and what it made of the configuration.
CREATE TABLE config_revision (
  scope      text NOT NULL,
  epoch      text NOT NULL,
  revision   bigint NOT NULL,
  hash       text NOT NULL,
  patch      jsonb NOT NULL,
  snapshot   jsonb NOT NULL,
  author     text NOT NULL,
  reason     text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, epoch, revision)
);
