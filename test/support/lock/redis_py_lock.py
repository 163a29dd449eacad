"""Acquires and releases locks with redis-py. Reads orders as JSON lines from stdin, and answers each with a JSON line."""
import json
import sys

import redis

client = redis.Redis(port=int(sys.argv[1]))
locks = {}

for line in sys.stdin:
    order = json.loads(line)
    name = order["name"]
    try:
        if order["do"] == "acquire":
            lock = client.lock(name, timeout=order.get("timeout"), blocking_timeout=order.get("wait", 0))
            taken = lock.acquire()
            if taken:
                locks[name] = lock
            answer = {"taken": taken}
        elif order["do"] == "release":
            locks.pop(name).release()
            answer = {"released": True}
    except redis.exceptions.LockError as error:
        answer = {"error": type(error).__name__}
    print(json.dumps(answer), flush=True)
