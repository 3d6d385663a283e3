//! What the server runs for a write, so that check and change cannot be told apart from outside.

use std::cell::RefCell;

/// Checks and writes of one or several keys. `KEYS` are the keys; for each of them `ARGV` holds six words:
/// `set`/`del`, `hash`/`json`, the version wanted (`0`: any), the value, `1` for first-write, the seconds to live (empty: unchanged, less than
/// one: for ever). Nothing is changed unless every key passes its check; the index of the first that fails is in the error.
const WRITE: &str = r#"
local WIDTH = 6
local function version(key, json)
  local v
  if json then v = redis.pcall('JSON.GET', key, '.version') else v = redis.pcall('HGET', key, 'version') end
  -- a table is an error: the key holds something else
  if type(v) == 'table' then return nil, true end
  if not v or v == '' then return nil, false end
  return v, false
end
local function guarded(key, json)
  if json then
    local f = redis.pcall('JSON.GET', key, '.first-write')
    return f and type(f) ~= 'table'
  end
  return redis.call('HEXISTS', key, 'first-write') == 1
end
for i, key in ipairs(KEYS) do
  local at = (i - 1) * WIDTH
  local json, want = ARGV[at + 2] == 'json', ARGV[at + 3]
  local have = version(key, json)
  if have and have ~= want then
    local open = want == '0' and (ARGV[at + 1] == 'del' or not guarded(key, json))
    if not open then
      local verb = ARGV[at + 1] == 'del' and 'delete' or 'set key'
      return redis.error_reply('MISMATCH ' .. (i - 1) .. ' failed to ' .. verb .. ' ' .. key)
    end
  end
end
for i, key in ipairs(KEYS) do
  local at = (i - 1) * WIDTH
  local json, want, ttl = ARGV[at + 2] == 'json', ARGV[at + 3], ARGV[at + 6]
  if ARGV[at + 1] == 'del' then
    redis.call('DEL', key)
  else
    local have, foreign = version(key, json)
    if foreign then redis.call('DEL', key) end
    if json then
      local guard = ARGV[at + 5] == '1'
      redis.call('JSON.SET', key, '$', ARGV[at + 4])
      if guard then redis.call('JSON.SET', key, '.first-write', 0) end
      redis.call('JSON.SET', key, '.version', (tonumber(have or want) or 0) + 1)
    else
      redis.call('HSET', key, 'data', ARGV[at + 4])
      if ARGV[at + 5] == '1' then redis.call('HSET', key, 'first-write', 0) end
      redis.call('HINCRBY', key, 'version', 1)
    end
    if ttl ~= '' then
      if tonumber(ttl) > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
    end
  end
end
return 1
"#;

/// The script, and the digest under which the server keeps it once it has seen it.
pub struct Scripts {
    digest: RefCell<Option<String>>,
}

impl Scripts {
    pub fn new() -> Self {
        Self { digest: RefCell::new(None) }
    }

    pub fn text() -> &'static str {
        WRITE
    }

    pub fn digest(&self) -> Option<String> {
        self.digest.borrow().clone()
    }

    pub fn learn(&self, digest: String) {
        *self.digest.borrow_mut() = Some(digest);
    }

    pub fn forget(&self) {
        *self.digest.borrow_mut() = None;
    }
}
