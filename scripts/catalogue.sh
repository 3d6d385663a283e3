#!/usr/bin/env bash
# Puts the built components beside the binary and compiles them: scripts/catalogue.sh BUILT_FOLDER BIN_FOLDER
set -euo pipefail
built=$1
bin=$2
target="$bin/components"
mkdir -p "$target"
for folder in components-wasm/*-*/; do
    [ -f "$folder/manifest.json" ] || continue
    name=$(basename "$folder")
    file="$built/${name//-/_}.wasm"
    cmp -s "$file" "$target/$name.wasm" || cp "$file" "$target/$name.wasm"
done
# A component that is no more leaves nothing behind.
for file in "$target"/*.wasm; do
    [ -d "components-wasm/$(basename "$file" .wasm)" ] || rm -f "$file"
done
"$bin/proa" component pack "$target" >/dev/null
for compiled in "$target"/*.cwasm; do
    digest=$(basename "$compiled"); digest=${digest%%-*}
    grep -q "$digest" "$target/catalogue.json" || rm -f "$compiled" "$compiled".*
done
