#!/usr/bin/env bash
# Generates three clients from docs/openapi.json and walks each through a device's life on a running server:
#
#     tests/clients/walk.sh http://127.0.0.1:8080 <set-up token> <scratch directory>
#
# The server has to admit devices by itself (KERNEX__ADMISSION=automatic). The set-up token is needed for the
# first walk on a server only; later walks log in to the account that it made.
set -euo pipefail

[ $# -eq 3 ] || { echo "usage: $0 BASE_URL SETUP_TOKEN SCRATCH_DIRECTORY" >&2; exit 2; }
url=$1 setup_token=$2
mkdir -p "$3"
scratch=$(cd "$3" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
tools=${KERNEX_TOOLS:-$HOME/.cache/kernex/tools}/clients

for program in python3 node npm java; do
    command -v "$program" >/dev/null || { echo "walk: $program is missing" >&2; exit 1; }
done

# Pinned, so that a walk that fails tells of a change here and not of a release elsewhere. The lower half is
# what the generated clients import.
python_packages=(
    openapi-python-client==0.29.1 openapi-generator-cli==7.26.0 'pyjwt[crypto]==2.15.1'
    httpx==0.28.1 attrs==26.1.0 urllib3==2.8.0 pydantic==2.14.3 python-dateutil==2.9.0.post0
)
node_packages=(
    openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 tsx@4.23.15 @types/node@20.19.43
)

# Installs what is not installed yet in these versions; the file `installed` is written last.
installed() { [ "$(cat "$tools/$1/installed" 2>/dev/null)" = "${*:2}" ]; }
if ! installed python "${python_packages[@]}"; then
    rm -rf "$tools/python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
    echo "${python_packages[*]}" >"$tools/python/installed"
fi
if ! installed node "${node_packages[@]}"; then
    rm -rf "$tools/node"
    mkdir -p "$tools/node"
    npm install --prefix "$tools/node" --loglevel=error --no-audit --no-fund "${node_packages[@]}" >/dev/null
    echo "${node_packages[*]}" >"$tools/node/installed"
fi
export PATH="$tools/python/bin:$tools/node/node_modules/.bin:$PATH"

document=$here/../../docs/openapi.json

rm -rf "$scratch/python"
mkdir "$scratch/python"
openapi-python-client generate --path "$document" --output-path "$scratch/python/kernex_client" \
    --meta none --fail-on-warning >/dev/null
PYTHONPATH=$scratch/python python "$here/walk.py" "$url" "$setup_token"
echo "python: walked"

# Both are found from where the code is: the packages by node, the types by the import of walk.ts.
rm -rf "$scratch/typescript"
mkdir "$scratch/typescript"
ln -s "$tools/node/node_modules" "$scratch/typescript/node_modules"
cp "$here/walk.ts" "$scratch/typescript/"
echo '{"type": "module"}' >"$scratch/typescript/package.json"
(
    cd "$scratch/typescript"
    openapi-typescript "$document" --output kernex.d.ts >types.log 2>&1 || { cat types.log >&2; exit 1; }
    tsc --noEmit --strict --target es2022 --module nodenext --types node walk.ts
    tsx walk.ts "$url" "$setup_token"
)
echo "typescript: walked"

rm -rf "$scratch/generator"
mkdir "$scratch/generator"
openapi-generator-cli generate --generator-name python --input-spec "$document" --output "$scratch/generator" \
    --package-name kernex_generated --global-property apis,models,supportingFiles >"$scratch/generator.log" 2>&1 ||
    { cat "$scratch/generator.log" >&2; exit 1; }
PYTHONPATH=$scratch/generator python "$here/walk_generator.py" "$url" "$setup_token"
echo "openapi-generator: walked"
