"""Publishes change notices of the configuration with redis-py, one for each line on stdin; answers each with a line."""
import json
import sys
from datetime import datetime, timezone

import redis

client = redis.Redis(port=int(sys.argv[1]), password=sys.argv[2])

for line in sys.stdin:
    message = {"event": "config_changed", "type": line.strip(), "timestamp": datetime.now(timezone.utc).isoformat()}
    client.publish("yuxi:config_updates", json.dumps(message))
    print("published", flush=True)
