#!/usr/bin/env bash
# Install the Debian/Ubuntu packages that building and OpenCV need, if one is missing.
set -euo pipefail

missing=()
command -v cmake > /dev/null || missing+=(cmake)
command -v make > /dev/null || missing+=(make)
command -v g++ > /dev/null || missing+=(g++)
python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
python3 -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || missing+=(python3-dev)
# opencv-python links to these two; opencv-python-headless does without.
ldconfig -p | grep -q 'libGL\.so\.1 ' || missing+=(libgl1)
ldconfig -p | grep -q 'libgthread-2\.0\.so\.0 ' || missing+=(libglib2.0-0)

if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
root=""
if [ "$(id -u)" -ne 0 ]; then root="sudo"; fi
if ! command -v apt-get > /dev/null || { [ -n "$root" ] && ! command -v sudo > /dev/null; }; then
  echo "Please install first: ${missing[*]}" >&2
  exit 1
fi
echo "installing with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq
$root apt-get install -y -qq --no-install-recommends "${missing[@]}"
