"""Tests of the plugin with all steps on Dask workers: ``TESTED_RUNNER=dask pytest ...``.

If the value is the address of a scheduler, the workers of that cluster run the steps. The tests
listed here are left out: by design they expect other results than Dask gives, or run no steps.
"""

import os
import re
from typing import Final

WANTED: Final[str] = os.environ.get("TESTED_RUNNER", "")

XDIST: Final = "workers of xdist run their steps themselves"
_REPORTED: Final = "the report names the worker, or where steps run"
_VARIABLES: Final = "a worker has its own environment variables"
_LANES: Final = "it checks lanes and modules of pytest's own machine, and a worker has others"
_LATER: Final = "output of a step on a worker is shown when it has ended"
_JOBS: Final = "the number of jobs is set for all tests"

OTHERWISE: Final[dict[str, str]] = {
    "test_xdist": XDIST,
    "test_controller": XDIST,
    "test_resources": "resources of workers are refused with another text",
    "test_use::test_secrets_declared_by_a_used_file_are_masked": _VARIABLES,
    "test_state::test_a_step_has_the_environment_after_the_setup_of_its_item": _VARIABLES,
    "test_state::test_coverage_counts_the_lines_of_scriptlets[process]": _VARIABLES,
    "test_dask": "it starts its own workers",
    "test_runner": "it selects runners itself",
    "test_mistakes::test_a_mistake_is_answered_as_the_table_says": _REPORTED,
    "test_interrupts::test_xdist_workers_run_finally_steps_and_report_all_steps": XDIST,
    "test_interrupts::test_reports_of_xdist_workers_reach_all_plugins_after_an_interrupt": XDIST,
    "test_interrupts::test_workers_report_the_signal_that_only_pytest_received": XDIST,
    "test_locks::test_an_xdist_worker_reports_a_lock_wait_in_the_report": XDIST,
    "test_locks::test_two_pytests_with_fifty_steps_each_never_hold_a_lock_together": _VARIABLES,
    "test_locks::test_a_recipe_holds_its_locks_until_its_last_finally_step": _VARIABLES,
    "test_resume::test_linked_recipes_are_resumed_together_on_any_worker": XDIST,
    "test_resume::test_pending_finally_steps_of_a_killed_run_are_reported_and_run": _VARIABLES,
    "test_resume::test_a_finally_step_interrupted_by_ctrl_c_is_pending": _VARIABLES,
    "test_reports::test_junit_properties_equal_the_json_block": _REPORTED,
    "test_parity::test_terminal_output_is_the_same_in_both_isolations": _REPORTED,
    "test_failure_text::test_failed_criteria_are_shown_at_their_lines": _REPORTED,
    "test_failure_text::test_the_failure_text_contains_the_written_context_keys": _REPORTED,
    "test_failure_text::test_an_assertion_is_explained_in_user_frames": _REPORTED,
    "test_tables": _REPORTED,
    "test_terminal_screens": _REPORTED,
    "test_parallel::test_the_header_contains_the_reason_for_one_step_at_a_time": _REPORTED,
    "test_parallel::test_the_header_contains_a_common_reason_once": _REPORTED,
    "test_parallel::test_a_step_with_a_mark_that_may_skip_it_does_not_run_ahead": _REPORTED,
    "test_parallel::test_a_recipe_that_a_test_uses_first_runs_one_step_at_a_time": _REPORTED,
    "test_secrets::test_a_variable_with_a_secret_name_is_masked_everywhere": _VARIABLES,
    "test_secrets::test_the_report_block_of_a_step_is_masked": _VARIABLES,
    "test_secrets::test_live_output_is_masked": _VARIABLES,
    "test_secrets::test_a_recipe_that_ends_early_prints_no_secret": _VARIABLES,
    "test_secrets::test_nothing_is_masked_without_secrets": _VARIABLES,
    "test_use::test_a_failure_is_reported_at_the_line_of_the_used_file": _REPORTED,
    "test_state::test_changes_of_process_state_end_with_the_step": _VARIABLES,
    "test_early_start": _LANES,
    "test_start_up": _LANES,
    "test_collecting::test_the_watch_reports_imports_and_files_of_a_run": _LANES,
    "test_state::test_a_module_is_imported_once_for_all_steps": _LANES,
    "test_ends::test_a_second_ctrl_c_ends_pytest_at_once": _LANES,
    "test_ends::test_no_process_is_alive_after_sigkill": _LANES,
    "test_context_access::test_writes_of_programs_of_a_step_count_as_its_own": _LANES,
    "test_live_output::test_output_is_shown_while_the_step_runs_and_not_repeated": _LATER,
    "test_live_output::test_the_report_of_a_failed_step_contains_captured_output": _LATER,
    "test_parallel::test_an_invalid_number_of_jobs_is_an_error_before_the_collection": _JOBS,
    "test_parallel::test_the_number_of_jobs_can_be_an_ini_key": _JOBS,
    "test_sessions::test_recipe_files_are_ignored_without_the_plugin": "its options are unknown",
    "test_failure_text::test_the_repeat_command_works_in_a_subfolder": _REPORTED,
    "test_failure_text::test_the_repeat_command_contains_the_values_of_vars": _REPORTED,
    "test_services::test_a_dead_service_is_an_error_of_its_step_at_the_end": _REPORTED,
    "test_shown_in_pages::test_the_page_shows_the_header_of_a_resumed_run": _REPORTED,
    "test_shown_in_pages::test_the_page_shows_measurements_outside_their_limits": _VARIABLES,
    "test_github::test_twelve_failures_are_ten_errors_and_a_notice": _VARIABLES,
}
"""Reason for each file or test that is left out."""


def asks_for_xdist(value: object) -> bool:
    """Return True if one or more arguments of pytest start workers of xdist."""
    arguments = value if isinstance(value, list | tuple) else (value,)
    return any(
        isinstance(argument, str) and re.match(r"-n ?\d*$|--dist=", argument)
        for argument in arguments
    )


if WANTED:  # pytester unloads modules that a run imported, and this import takes a second
    import distributed  # noqa: F401
