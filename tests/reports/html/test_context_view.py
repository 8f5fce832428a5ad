from pytest_orchestrator.reports.html.context_view import Branch, tree


def test_dotted_keys_form_a_tree() -> None:
    assert tree(["dut.on", "dut.fw.version", "dut.fw.date", "psu.a.b.volts", "dut.fw"]) == (
        Branch(
            "dut",
            None,
            (
                Branch("on", "dut.on", (), 1),
                Branch(
                    "fw",
                    "dut.fw",
                    (
                        Branch("version", "dut.fw.version", (), 1),
                        Branch("date", "dut.fw.date", (), 1),
                    ),
                    3,
                ),
            ),
            4,
        ),
        Branch("psu.a.b.volts", "psu.a.b.volts", (), 1),
    )


def test_a_key_of_ten_thousand_dots_is_accepted() -> None:
    keys = [".".join("a" * length) for length in (10_000, 9_000, 5)]

    (branch,) = tree(keys)

    assert branch.keys == 3
