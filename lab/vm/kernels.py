# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the kernel of a virtual machine comes from: a Debian suite, or a file that somebody brings."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import lzma
import pathlib
import shutil

from vm import cache, debian

# Suite and package in which the newest kernel of a version is looked for. Debian's cloud kernels are small, and have
# what networks need.
SUITES = {
    "5.10": [("bullseye", "linux-image-cloud-amd64")],
    "6.1": [("bookworm", "linux-image-cloud-amd64")],
    "6.12": [("bookworm", "linux-image-6.12-cloud-amd64"), ("trixie", "linux-image-cloud-amd64")],
}
BUSYBOX = ("bookworm", "busybox-static")

# What a machine needs before its root is there, as far as it is not built in.
DRIVERS = ["virtio_pci", "virtio_blk", "virtio_rng", "virtio_net", "ahci", "sd_mod", "e1000", "ext4"]

INIT = cache.HERE / "initrd_init"


class KernelError(Exception):
    """What was named is no kernel that can be booted here."""


class NotToBeHadError(Exception):
    """No suite that has the kernel can be reached here."""


@dataclasses.dataclass
class Kernel:
    """Files that are ready to boot. identity: by what was asked for. modules: an image with them, where it has any."""

    identity: str
    image: pathlib.Path
    initrd: pathlib.Path
    modules: pathlib.Path | None


def get(wanted: str, modules: str | None = None) -> Kernel:
    """The kernel of that version, or in that file with its folder of modules."""
    recipe = [cache.HERE / "kernels.py", cache.HERE / "debian.py", INIT]
    if wanted in SUITES:
        identity = wanted
        folder = cache.folder(f"kernel-{wanted}", recipe, lambda folder: _from_debian(wanted, folder))
    else:
        image = _checked_image(wanted)
        known = hashlib.sha256(image.read_bytes() + str(modules).encode()).hexdigest()[:12]
        identity = f"{image} {known}"
        folder = cache.folder(f"kernel-file-{known}", recipe, lambda folder: _from_file(image, modules, folder))
    disk = folder / "modules.ext4"
    return Kernel(identity, folder / "vmlinuz", folder / "initrd", disk if disk.exists() else None)


def _checked_image(path: str) -> pathlib.Path:
    image = pathlib.Path(path).resolve()
    if not image.is_file():
        raise KernelError(f"there is no kernel {path!r}: name one of {', '.join(SUITES)}, or the path of a bzImage")
    with open(image, "rb") as file:
        file.seek(0x202)
        if file.read(4) != b"HdrS":
            raise KernelError(f"{path} is no bzImage (a vmlinux is none either): give arch/x86/boot/bzImage")
    return image


def _from_debian(version: str, folder: pathlib.Path) -> None:
    reasons = []
    for name, newest in SUITES[version]:
        try:
            suite = debian.Suite(name, folder / "apt")
            package = next(p for p in suite.dependencies(newest) if p.startswith(f"linux-image-{version}."))
            suite.unpack(package, folder / "tree")
            break
        except debian.UnreachableError as error:
            reasons.append(str(error))
        except StopIteration:
            reasons.append(f"Debian's suite {name} has no kernel {version}")
    else:
        raise NotToBeHadError(f"no kernel {version}: {'; '.join(reasons)}")
    (image,) = (folder / "tree" / "boot").glob("vmlinuz-*")
    image.rename(folder / "vmlinuz")
    _finish(folder)


def _from_file(image: pathlib.Path, modules: str | None, folder: pathlib.Path) -> None:
    shutil.copyfile(image, folder / "vmlinuz")
    if modules:
        source = pathlib.Path(modules).resolve()
        if not (source / "kernel").is_dir():
            raise KernelError(f"{modules} is no folder of modules: give .../lib/modules/RELEASE, which holds `kernel`")
        links = shutil.ignore_patterns("build", "source")
        shutil.copytree(source, folder / "tree" / "lib" / "modules" / source.name, symlinks=True, ignore=links)
    _finish(folder)


def _finish(folder: pathlib.Path) -> None:
    """From `tree`, with or without modules, make the initial RAM disk and the image of the modules."""
    start = folder / "start"
    (start / "bin").mkdir(parents=True)
    for name in ("proc", "sys", "dev", "root"):
        (start / name).mkdir()
    shutil.copy(_busybox(), start / "bin" / "busybox")
    (start / "bin" / "sh").symlink_to("busybox")
    shutil.copy(INIT, start / "init")
    (start / "init").chmod(0o755)
    all_modules = folder / "tree" / "lib" / "modules"
    if all_modules.is_dir():
        (release,) = all_modules.iterdir()
        cache.run("depmod", "--basedir", folder / "tree", release.name)
        names = [_plain_copy(release / file, start) for file in _needed(release)]
        (start / "vm-modules").write_text("\n".join(names) + "\n", encoding="ascii")
        megabytes = cache.megabytes_of(all_modules) * 5 // 4 + 16
        cache.pack_disk(all_modules, folder / "modules.ext4", "vm-modules", megabytes)
    cache.pack_initrd(start, folder / "initrd")
    for name in ("start", "tree", "apt"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _busybox() -> pathlib.Path:
    def make(folder: pathlib.Path) -> None:
        suite, package = BUSYBOX
        debian.Suite(suite, folder / "apt").unpack(package, folder / "tree")
        shutil.copy(folder / "tree" / "bin" / "busybox", folder)
        for name in ("tree", "apt"):
            shutil.rmtree(folder / name)

    return cache.folder("busybox", [], make) / "busybox"


def _needed(release: pathlib.Path) -> list[str]:
    """The files of the drivers and of what they stand on, in the order in which they can be loaded."""
    needs = {}
    for line in (release / "modules.dep").read_text(encoding="ascii").splitlines():
        file, _colon, others = line.partition(":")
        needs[file] = others.split()
    # ext4 wants its checksum by name, when it is mounted, not as a symbol.
    names = [*DRIVERS, "crc32c_generic", "crc32c-intel"]
    files = {pathlib.Path(file).name.partition(".ko")[0].replace("-", "_"): file for file in needs}
    ordered: list[str] = []
    for name in names:
        if name.replace("-", "_") in files:
            file = files[name.replace("-", "_")]
            ordered += [one for one in [*reversed(needs[file]), file] if one not in ordered]
    return ordered


def _plain_copy(module: pathlib.Path, folder: pathlib.Path) -> str:
    """A copy that is not compressed: busybox loads no other."""
    content = module.read_bytes()
    if module.suffix == ".xz":
        content = lzma.decompress(content)
    elif module.suffix == ".gz":
        content = gzip.decompress(content)
    elif module.suffix != ".ko":
        raise KernelError(f"{module.name}: modules may be plain, or compressed with xz or gzip")
    name = module.name.partition(".ko")[0] + ".ko"
    (folder / name).write_bytes(content)
    return name
