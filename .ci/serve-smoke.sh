#!/usr/bin/env bash
# `npm start` as a user sees it: the server comes up, its own curl line streams an answer, it has its dashboard, SIGTERM ends it in order.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=$(mktemp)
trap 'kill "$server" 2>/dev/null || true; rm -f "$output"' EXIT

npm start --silent -- --port 0 --log-level silent >"$output" &
server=$!
for _ in $(seq 100); do
  if grep -q '^curl ' "$output"; then break; fi
  sleep 0.1
done
cat "$output"

answer=$(bash -c "$(grep '^curl ' "$output") --silent")
grep -q '"role":"assistant"' <<<"$answer"
grep -q '"finish_reason":"stop"' <<<"$answer"
[ "$(tail -n 2 <<<"$answer" | head -n 1)" = 'data: [DONE]' ] || [ "$(tail -n 1 <<<"$answer")" = 'data: [DONE]' ]
echo "answer: $(grep -c '^data: ' <<<"$answer") events"

# The page is made of files beside the compiled code, which a build could leave out.
address=$(grep -o 'http://127[.0-9]*:[0-9]*' "$output" | head -n 1)
page=$(curl --silent --fail "$address/dashboard")
grep -q '<script type="application/json" id="model">' <<<"$page"
grep -q 'new EventSource' <<<"$page"
echo "dashboard: ${#page} characters"

# npm ends with 143 by itself when it is told to: the server is its last descendant.
process=$server
while child=$(pgrep -P "$process"); do process=$child; done
kill -TERM "$process"
status=0
wait "$server" || status=$?
echo "npm start ended with $status after SIGTERM"
[ "$status" -eq 0 ]
