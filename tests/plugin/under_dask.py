"""Tests of the plugin with all steps on Dask workers: ``TESTED_RUNNER=dask pytest ...``.

With the address of a scheduler as the value, the workers of that cluster run the steps. The tests
listed here are left out, because they expect something else on Dask by design or run no steps.
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
    "test_sharing": XDIST,
    "test_resources": "resources of workers are refused with another text",
    "test_use::test_what_a_used_file_calls_secret_is_masked": _VARIABLES,
    "test_lanes_state::test_a_step_has_the_environment_that_the_setup_of_its_item_left": _VARIABLES,
    "test_lanes_state::test_coverage_counts_the_lines_of_scriptlets[process]": _VARIABLES,
    "test_dask": "it starts its own workers",
    "test_runners": "it selects runners itself",
    "test_interrupts::test_workers_run_the_final_steps_too_and_tell_of_all": XDIST,
    "test_interrupts::test_what_workers_have_reported_is_told_to_all": XDIST,
    "test_lock_keys::test_a_worker_says_so_in_the_report": XDIST,
    "test_lock_keys::test_two_pytests_with_fifty_steps_each_never_hold_a_lock_together": _VARIABLES,
    "test_lock_keys::test_a_recipe_holds_its_locks_until_its_last_step_of_finally": _VARIABLES,
    "test_resuming::test_what_belongs_together_goes_on_together_whoever_runs_it": XDIST,
    "test_resuming::test_what_a_killed_run_owes_is_told_and_made_good": _VARIABLES,
    "test_resuming::test_what_ctrl_c_cut_off_in_finally_is_owed_too": _VARIABLES,
    "test_reports::test_junit_has_the_same_as_properties": _REPORTED,
    "test_lanes_parity::test_what_is_shown_is_the_same": _REPORTED,
    "test_failure_text::test_criteria_that_do_not_hold_are_told_at_their_lines": _REPORTED,
    "test_failure_text::test_what_was_written_to_the_context_is_told": _REPORTED,
    "test_failure_text::test_an_assertion_is_explained_in_the_frames_of_the_user": _REPORTED,
    "test_header": _REPORTED,
    "test_jobs::test_the_header_says_why_a_recipe_runs_one_step_at_a_time": _REPORTED,
    "test_jobs::test_the_header_says_once_what_holds_for_all_recipes": _REPORTED,
    "test_jobs::test_a_step_that_pytest_holds_back_does_not_run_ahead": _REPORTED,
    "test_jobs::test_a_recipe_that_a_test_uses_first_runs_one_step_at_a_time": _REPORTED,
    "test_secrets::test_a_variable_named_as_a_secret_is_found_nowhere": _VARIABLES,
    "test_secrets::test_the_block_of_a_step_tells_what_was_masked": _VARIABLES,
    "test_secrets::test_output_that_is_shown_as_it_comes_is_masked": _VARIABLES,
    "test_secrets::test_a_recipe_that_ends_early_tells_no_secret": _VARIABLES,
    "test_secrets::test_where_nothing_is_secret_nothing_is_masked": _VARIABLES,
    "test_use::test_a_failure_is_told_at_the_line_of_the_used_file": _REPORTED,
    "test_lanes_state::test_no_step_meets_what_the_one_before_it_did": _VARIABLES,
    "test_early_lanes": _LANES,
    "test_start_up": _LANES,
    "test_collecting::test_the_watch_would_see_what_a_run_does": _LANES,
    "test_lanes_state::test_a_module_is_imported_once_for_all_steps": _LANES,
    "test_lanes_ends::test_a_second_ctrl_c_ends_at_once": _LANES,
    "test_lanes_ends::test_after_sigkill_nothing_is_alive": _LANES,
    "test_serving::test_what_programs_of_steps_write_is_written_by_the_step_while_it_runs": _LANES,
    "test_live_output::test_a_step_is_heard_while_it_runs_and_not_again": _LATER,
    "test_live_output::test_the_report_of_a_failed_step_has_what_is_captured": _LATER,
    "test_jobs::test_a_wrong_number_is_told_before_anything_is_collected": _JOBS,
    "test_jobs::test_the_number_may_stand_in_the_settings": _JOBS,
    "test_sessions::test_without_the_plugin_the_files_are_left_alone": "its options are unknown",
    "test_failure_text::test_what_repeats_a_step_works_in_a_folder_below": _REPORTED,
    "test_failure_text::test_what_repeats_a_step_has_the_values_that_were_given": _REPORTED,
    "test_services::test_the_death_of_a_service_is_an_error_of_its_step_at_the_end": _REPORTED,
    "test_shown_in_pages::test_a_run_that_was_killed_and_goes_on": _REPORTED,
    "test_shown_in_pages::test_measurements_that_are_out_of_their_limits": _VARIABLES,
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
