"""Runs in the interpreter of a kernel, as a program: says as JSON what is installed there.

Only the standard library, and little of it, since every start pays for its imports. Kept to the
syntax of Python 3.9: the kernel chooses the interpreter.
"""

import hashlib
import json
import os
import re
import sys

#: Written by whoever installs, on each machine anew.
_OF_THE_INSTALLATION = {
    *("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"),
    *("uv_cache.json", "uv_build.json"),
}


def read(path):
    """The text of a file; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def sites():
    """The folders in which packages may be, in the order in which Python looks."""
    found = [path for path in sys.path if path and not path.endswith(".zip")]
    standard = os.path.dirname(os.__file__)
    found = [
        path for path in found if path not in (standard, os.path.join(standard, "lib-dynload"))
    ]
    config = read(os.path.join(sys.prefix, "pyvenv.cfg"))
    own = sys.prefix == sys.base_prefix or re.search(r"system-site-packages\s*=\s*true", config)
    if own:
        # Isolated mode leaves it out, and a kernel is not started in that mode.
        import site

        path = site.getusersitepackages()
        if path not in found:
            found.insert(0, path)
    # The script's own folder is there only without isolation.
    return [path for path in found if path != os.path.dirname(os.path.abspath(__file__))]


def headers(text):
    """Name, version, and what is required."""
    name = version = ""
    requires = []
    for line in text.partition("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        if key == "Name":
            name = value.strip()
        elif key == "Version":
            version = value.strip()
        elif key == "Requires-Dist":
            requires.append(value.strip())
    return name, version, requires


def content(record):
    """The digest of what a package has installed, the same on every machine."""
    lines = []
    for line in record.splitlines():
        path = line.split(",")[0].strip('"')
        last = path.rsplit("/", 1)[-1]
        # Commands are made anew; what is compiled depends on who ran it.
        made = path.endswith(".pyc") or re.match(r"(\.\./)+bin/", path)
        if not made and last not in _OF_THE_INSTALLATION:
            lines.append(line.replace('"', ""))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:32]


def package(folder, entry):
    """What a ``.dist-info`` or ``.egg-info`` says; None if it says nothing."""
    info = os.path.join(folder, entry)
    old = entry.endswith(".egg-info")
    inner = os.path.join(info, "PKG-INFO" if old else "METADATA")
    name, version, requires = headers(read(inner if os.path.isdir(info) else info))
    if not name or not version:
        return None
    found = {"name": name, "version": version, "requires": requires, "info": info}
    direct = read(os.path.join(info, "direct_url.json"))
    record = read(os.path.join(info, "RECORD"))
    installer = read(os.path.join(info, "INSTALLER")).strip()
    if not old and not record and installer in ("", "pip", "uv"):
        # It is being installed right now: they write it last.
        return None
    if direct:
        found["direct"] = json.loads(direct)
        found["content"] = content(record)
    if installer:
        found["installer"] = installer
    if os.path.exists(os.path.join(info, "REQUESTED")):
        found["requested"] = True
    tags = re.findall(r"^Tag: *(\S+)", read(os.path.join(info, "WHEEL")), re.M)
    if any(not tag.endswith("-any") for tag in tags):
        found["compiled"] = True
    return found


def packages(folders, of_conda):
    """All packages; where there are two of one name, the one that is imported."""
    found = {}
    for folder in folders:
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")) and entry[0] != "~":
                one = package(folder, entry)
                if one is not None:
                    if of_conda and os.path.realpath(one["info"]) in of_conda:
                        # Not every build says so itself.
                        one["installer"] = "conda"
                    key = re.sub(r"[-_.]+", "-", one["name"]).lower()
                    found.setdefault(key, one)
    return found


def conda_records(prefix):
    """What conda says of each package that it has installed."""
    folder = os.path.join(prefix, "conda-meta")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for name in names:
        if name.endswith(".json"):
            try:
                record = json.loads(read(os.path.join(folder, name)))
            except ValueError:
                # It is being written right now.
                continue
            if isinstance(record, dict) and record.get("name"):
                found.append(record)
    return found


def described_by(record):
    """The ``.dist-info`` and ``.egg-info`` among the files of a package of conda."""
    found = set()
    for path in record.get("files") or ():
        parts = path.split("/") if "-info" in path else ()
        for number, part in enumerate(parts, 1):
            if part.endswith((".dist-info", ".egg-info")):
                found.add("/".join(parts[:number]))
    return found


def other_than_python(records):
    """Name -> version of what a person has asked conda for, and is no Python package.

    Programs and libraries that are there because something else needs them are left out, and so
    is what has no files: it only stands for others.
    """
    needed = {
        depend.split()[0] for record in records for depend in record.get("depends") or () if depend
    }
    found = {}
    for record in records:
        name = record["name"]
        asked = record.get("requested_specs") or record.get("requested_spec") or "None"
        wanted = asked != "None" or name not in needed
        nothing = name == "python" or name.startswith("_") or not record.get("files")
        if wanted and not nothing and not described_by(record):
            found[name] = str(record.get("version", ""))
    return found


def describe():
    """Everything."""
    system = os.uname()
    version = "%d.%d" % sys.version_info[:2]
    folders = sites()
    implementation = sys.implementation.name
    records = conda_records(sys.prefix)
    prefix = os.path.realpath(sys.prefix)
    of_conda = {os.path.join(prefix, path) for each in records for path in described_by(each)}
    return {
        "python": version + ("t" if "t" in getattr(sys, "abiflags", "") else ""),
        "version": "%d.%d.%d" % sys.version_info[:3],
        "implementation": implementation,
        "prefix": sys.prefix,
        "base": sys.base_prefix,
        "sites": folders,
        "conda": bool(records),
        "others": other_than_python(records),
        "markers": {
            "implementation_name": implementation,
            "os_name": os.name,
            "platform_machine": system.machine,
            "platform_system": system.sysname,
            "platform_release": system.release,
            "platform_version": system.version,
            "platform_python_implementation": {"cpython": "CPython", "pypy": "PyPy"}.get(
                implementation, implementation
            ),
            "python_version": version,
            "python_full_version": "%d.%d.%d" % sys.version_info[:3],
            "implementation_version": "%d.%d.%d" % sys.version_info[:3],
            "sys_platform": sys.platform,
        },
        "packages": packages(folders, of_conda),
    }


if __name__ == "__main__":
    print(json.dumps(describe()))
