#!/bin/sh
# Creates the secrets of docker-compose.yml. Plain sh, because a Docker host may have no Node.
set -eu

usage() {
  cat <<'USAGE'
Usage: sh scripts/make-secrets.sh [folder] [--help]

Creates the files redis_password, postgres_password, jwt_secret and setup_token, each with 32 random bytes in base64, in a folder
(default: ./secrets, in the root of this repository). Writes the folder into .env as SECRETS_DIR, where docker compose reads it.
The subfolder models is for keys of embedding models: put each key into its own file, readable for every user.
Existing files are kept, so you can run this again at any time. To use your own password, write its file before.

Only the owner of the folder has access to it. The files in it are readable for every user, because compose mounts them unchanged,
and each container reads them as another user.
USAGE
}

case "${1:-}" in
  --help) usage; exit 0 ;;
  -*) usage >&2; exit 64 ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-./secrets}
cd "$root"

random() {
  if command -v openssl > /dev/null; then openssl rand -base64 32; else head -c 32 /dev/urandom | base64; fi
}

mkdir -p "$folder/models"
chmod 700 "$folder"
chmod 755 "$folder/models"
for name in redis_password postgres_password jwt_secret setup_token; do
  file="$folder/$name"
  # Written to another file and linked, so that the file is complete, and an existing file is not replaced.
  if [ ! -s "$file" ]; then
    rm -f "$file"
    random > "$file.$$"
    ln "$file.$$" "$file" && echo "$file: created"
    rm -f "$file.$$"
  fi
  chmod 444 "$file"
done

if [ -f .env ] && grep -q '^SECRETS_DIR=' .env; then
  grep -qxF "SECRETS_DIR=$folder" .env ||
    { echo ".env names another folder in SECRETS_DIR: change it to $folder, or run this with that folder" >&2; exit 1; }
else
  # The last line of .env may have no newline.
  [ ! -s .env ] || [ -z "$(tail -c 1 .env)" ] || echo >> .env
  echo "SECRETS_DIR=$folder" >> .env
  echo ".env: SECRETS_DIR=$folder added"
fi
