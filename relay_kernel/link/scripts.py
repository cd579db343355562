"""What runs on a PC before there is anything of ours: sent over SSH, read from standard input.

Kept to what every shell and every Python 3 has. Each says what went wrong in one line.
"""

#: The exit status of :data:`INSTALL` where no environment can be made.
NO_VENV = 3

#: A command line for any login shell: Python reads as many bytes of a program as its argument says,
#: and runs them; the rest of the input is the program's.
BOOT = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"

#: Says which wheels fit this Python, and which are here. Argument: the folder of wheels.
DESCRIBE = r"""
import json, os, platform, sys

info = sys.implementation.version
version = "%d.%d.%d" % info[:3] + ("" if info[3] == "final" else info[3][0] + str(info[4]))
markers = {
    "implementation_name": sys.implementation.name,
    "implementation_version": version,
    "os_name": os.name,
    "platform_machine": platform.machine(),
    "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(),
    "platform_system": platform.system(),
    "platform_version": platform.version(),
    "python_full_version": platform.python_version(),
    "python_version": "%d.%d" % sys.version_info[:2],
    "sys_platform": sys.platform,
}
folder = sys.argv[2]
here = os.listdir(folder) if os.path.isdir(folder) else []
facts = {"markers": markers, "libc": platform.libc_ver(), "mac": platform.mac_ver()[0], "wheels": here}
print(json.dumps(facts))
"""  # noqa: E501 - a line of another program

#: Takes a stream of wheels, each DIGEST/NAME, and puts each in place whole or not at all.
#: Argument: the folder of wheels.
RECEIVE = r"""
import hashlib, os, sys, tarfile

os.umask(0o077)
for member in (archive := tarfile.open(fileobj=sys.stdin.buffer, mode="r|")):
    digest, name = member.name.split("/")
    data = archive.extractfile(member).read()
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit("%s arrived damaged" % name)
    folder = os.path.join(sys.argv[2], digest)
    part = folder + ".part%d" % os.getpid()
    os.makedirs(part)
    with open(os.path.join(part, name), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if os.path.isdir(folder):
        os.remove(os.path.join(part, name))
        os.rmdir(part)
    else:
        os.rename(part, folder)
"""

#: Arguments: interpreter, environment, digest of relay-kernel's wheel, uv or nothing, pip's wheel
#: or nothing, "all" if the wheels are all that is needed; then the wheels, relay-kernel's first.
#: The first line of what it says on failure is shown to the user. The marker is written last.
INSTALL = r"""
fail() { printf '%s\n' "$1" >&2; exit 1; }
make_env() {
  if [ -n "$pip" ]; then
    "$python" -m venv --without-pip --clear "$env" >"$env.log" 2>&1 && return
  else
    "$python" -m venv --clear "$env" >"$env.log" 2>&1 && return
  fi
  [ -n "$uv" ] && "$uv" venv --quiet ${seed} --clear --python "$python" "$env" >"$env.log" 2>&1
}
run_pip() { "$env/bin/python" ${pip:+"$pip/pip"} ${how} --no-input --disable-pip-version-check "$@"; }
main() {
  python="$1" env="$2" digest="$3" uv="$4" pip="$5" all="$6"
  shift 6
  umask 077
  seed= how=
  [ -n "$pip" ] || { seed=--seed how='-m pip'; }
  mkdir -p "${env%/*}" || fail "cannot make ${env%/*}"
  exec 9>"$env.lock"
  ! command -v flock >/dev/null 2>&1 || flock -w 600 9 || fail "another installation hangs there"
  [ "$(cat "$env/relay-wheel" 2>/dev/null)" = "$digest" ] && exit 0
  [ ! -f "$env/relay-wheel" ] || mv "$env/relay-wheel" "$env/relay-wheel.old"
  [ -x "$env/bin/python" ] && run_pip --version >/dev/null 2>&1 || make_env || exit 3
  if [ -n "$all" ]; then
    run_pip --isolated install --quiet --no-index --no-deps "$@" >"$env.log" 2>&1
  else
    run_pip install --quiet "$@" >"$env.log" 2>&1
  fi &&
  run_pip --isolated install --quiet --no-index --no-deps --force-reinstall "$1" >>"$env.log" 2>&1 ||
    fail "pip failed there: $(grep -m 1 -i error "$env.log" || cat "$env.log")"
  printf '%s' "$digest" >"$env/relay-wheel.new" && mv "$env/relay-wheel.new" "$env/relay-wheel"
  rm -f "$env.log" "$env/relay-wheel.old"
}
main "$@" </dev/null
exit 0
"""  # noqa: E501 - as above
