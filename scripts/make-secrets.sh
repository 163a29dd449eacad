#!/bin/sh
# Makes the secrets of docker-compose.yml. Plain sh: a host that only runs Docker has no Node.
set -eu

usage() {
  cat <<'USAGE'
Usage: sh scripts/make-secrets.sh [folder] [--help]

Makes the files redis_password, postgres_password, jwt_secret and setup_token, each with 32 random bytes in base64, in a folder
(default: ./secrets, in the root of this repository), and names the folder in .env as SECRETS_DIR, where docker compose reads it.
The folder models in it is for keys of embedding models: put each into a file of its own, readable for every user.
A file that is there already is kept, so that it can be run again at any time; to use a password of your own, write its file first.

Only the owner of the folder can enter it. The files in it are readable for every user, because compose mounts them as they are
and each container reads them as a user of its own.
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
  # Written beside it and linked: never half of a file, and never over one that is there.
  if [ ! -s "$file" ]; then
    rm -f "$file"
    random > "$file.$$"
    ln "$file.$$" "$file" && echo "$file: made"
    rm -f "$file.$$"
  fi
  chmod 444 "$file"
done

if [ -f .env ] && grep -q '^SECRETS_DIR=' .env; then
  grep -qxF "SECRETS_DIR=$folder" .env ||
    { echo ".env names another folder in SECRETS_DIR: change it to $folder, or run this with that folder" >&2; exit 1; }
else
  # A last line without an end would run into ours.
  [ ! -s .env ] || [ -z "$(tail -c 1 .env)" ] || echo >> .env
  echo "SECRETS_DIR=$folder" >> .env
  echo ".env: SECRETS_DIR=$folder added"
fi
