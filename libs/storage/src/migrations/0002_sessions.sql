-- Sessions: what a login opens, a refresh carries on and a logout ends.

CREATE TABLE sessions (
  id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id        integer NOT NULL REFERENCES users (id),
  token_version  integer NOT NULL,               -- the session counts while users.token_version is the same
  created_at     timestamptz NOT NULL DEFAULT now(),
  expires_at     timestamptz NOT NULL,
  ended_at       timestamptz,                    -- by a logout or a reused refresh token
  client_address text,                           -- of the login
  user_agent     text
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expired ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- One row per refresh token ever given out in a session; used ones stay, so that they are recognised when they come again.
CREATE TABLE refresh_tokens (
  hash       bytea PRIMARY KEY,                  -- sha-256 of the token
  session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at    timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
-- The database, not the code, refuses a second token that could be used.
CREATE UNIQUE INDEX refresh_tokens_one_unused ON refresh_tokens (session_id) WHERE used_at IS NULL;
