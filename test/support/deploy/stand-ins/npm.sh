#!/bin/sh
exec node "/usr/local/lib/node_modules/npm/bin/$(basename "$0")-cli.js" "$@"
