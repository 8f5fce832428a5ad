"""A loaded recipe for the tests of reports."""

from pathlib import Path

import pytest

from pytest_orchestrator.recipe import Recipe, load

_TEXT = """\
name: psu_burn_in
description: Burns a PSU in.
test_meta:
  test_id: PSU-7
  tester: me
  dut: {serial_number: A17}
  batch: 12
tags: [nightly]
steps:
  - name: flash
    type: python
    module: scriptlets.flash
    class: Flash
    tags: [smoke]
  - name: ripple
    description: Measures the ripple.
    type: shell
    cmd: scriptlets/ripple.sh 3
    args: {GAIN: 2}
    timeout: 30s
    success:
      exit_code: [0, 4]
      ctx_has_keys:
        - ripple.mv_v1
        - ripple.unit_v1
      files_exist: [out/ripple.csv]
finally:
  - {name: off, type: shell, cmd: psu off}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Return a recipe of two steps and one `finally` step."""
    path = tmp_path / "recipes" / "psu.yaml"
    path.parent.mkdir()
    path.write_text(_TEXT)
    return load(path, root=tmp_path)
