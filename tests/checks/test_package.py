# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a user gets it: built, installed into an empty directory without network, and used from there."""

from __future__ import annotations

import json
import tarfile
from subprocess import PIPE

import pytest
import yaml

KINDS = {"modules": "module", "callback": "callback", "filter": "filter"}


@pytest.fixture(scope="module")
def artifact(run, copy_collection, tmp_path_factory):
    source = copy_collection(tmp_path_factory.mktemp("source"))
    output = tmp_path_factory.mktemp("dist")
    run("ansible-galaxy", "collection", "build", "--output-path", output, source)
    return next(output.glob("nettune-kernel-*.tar.gz"))


@pytest.fixture(scope="module")
def installed(run, artifact, tmp_path_factory):
    """Settings under which Ansible sees the installed copy and nothing of the checkout."""
    target = tmp_path_factory.mktemp("collections")
    (target / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {target}\n")
    settings = {"cwd": target, "env": {"ANSIBLE_CONFIG": str(target / "ansible.cfg")}}
    run("ansible-galaxy", "collection", "install", "--offline", "--collections-path", target, artifact, **settings)
    return settings


def documentation(run, installed, kind, names):
    return json.loads(run("ansible-doc", "--json", "--type", kind, *names, **installed, stderr=PIPE).stdout)


def test_artifact_holds_the_product_only(artifact):
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    assert "plugins/modules/sysctl_trial.py" in names
    hidden = {name.split("/")[0] for name in names if name.startswith(".")}
    assert hidden <= {".ansible-lint", ".config", ".yamllint"}
    assert not [name for name in names if name.startswith("playbooks/collections")]


def test_what_git_ignores_is_not_built(root):
    """Such as the keys and logs of a machine that happens to be up."""
    ignored = {line.strip("/") for line in (root / ".gitignore").read_text().splitlines()}
    assert ignored <= set(yaml.safe_load((root / "galaxy.yml").read_text())["build_ignore"])


def test_every_plugin_is_documented(run, installed, root):
    for folder, kind in KINDS.items():
        # A file of filters holds several, and each has a page of its own.
        pattern = "*.yml" if kind == "filter" else "*.py"
        names = [
            f"nettune.kernel.{path.stem}"
            for path in sorted((root / "plugins" / folder).glob(pattern))
            if not path.stem.startswith("_")
        ]
        if names:
            assert sorted(documentation(run, installed, kind, names)) == names


def test_every_role_is_documented(run, installed, root):
    names = [f"nettune.kernel.{path.name}" for path in sorted((root / "roles").iterdir())]
    documented = documentation(run, installed, "role", names)
    assert sorted(documented) == names
    assert all(documented[name]["entry_points"] for name in names)


def test_every_playbook_is_found_by_name(run, installed, root):
    for playbook in sorted((root / "playbooks").glob("*.yml")):
        run("ansible-playbook", "--syntax-check", "-i", "localhost,", f"nettune.kernel.{playbook.stem}", **installed)
