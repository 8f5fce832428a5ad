"""The tests of the door, with all steps run by workers of Dask: ``TESTED_RUNNER=dask pytest ...``.

The address of a scheduler has them run by workers that are there already.
What is listed here is by design another thing there, or asks for no step at all.
"""

import os
import re
from typing import Final

WANTED: Final[str] = os.environ.get("TESTED_RUNNER", "")

XDIST: Final = "workers of xdist run their steps themselves"
_TOLD: Final = "it is told that a worker has run it, or where steps run"
_VARIABLES: Final = "a worker has variables of its own"
_LANES: Final = "it asks for the lanes and modules of pytest's own machine, and a worker has others"
_LATER: Final = "what a step on a worker has printed is shown once it has ended"
_JOBS: Final = "whoever tries all tests says how many jobs there are"

OTHERWISE: Final[dict[str, str]] = {
    "test_xdist": XDIST,
    "test_sharing": XDIST,
    "test_resources": "what workers offer is refused in words of its own",
    "test_use::test_what_a_used_file_calls_secret_is_masked": _VARIABLES,
    "test_lanes_state::test_a_step_has_the_environment_that_the_setup_of_its_item_left": _VARIABLES,
    "test_lanes_state::test_coverage_counts_the_lines_of_scriptlets[process]": _VARIABLES,
    "test_dask": "it has workers of its own",
    "test_runners": "it asks for runners itself",
    "test_interrupts::test_workers_run_the_final_steps_too_and_tell_of_all": XDIST,
    "test_interrupts::test_what_workers_have_reported_is_told_to_all": XDIST,
    "test_lock_keys::test_a_worker_says_so_in_the_report": XDIST,
    "test_lock_keys::test_two_pytests_with_fifty_steps_each_never_hold_a_lock_together": _VARIABLES,
    "test_lock_keys::test_a_recipe_holds_its_locks_until_its_last_step_of_finally": _VARIABLES,
    "test_resuming::test_what_belongs_together_goes_on_together_whoever_runs_it": XDIST,
    "test_resuming::test_what_a_killed_run_owes_is_told_and_made_good": _VARIABLES,
    "test_resuming::test_what_ctrl_c_cut_off_in_finally_is_owed_too": _VARIABLES,
    "test_reports::test_junit_has_the_same_as_properties": _TOLD,
    "test_lanes_parity::test_what_is_shown_is_the_same": _TOLD,
    "test_failure_text::test_criteria_that_do_not_hold_are_told_at_their_lines": _TOLD,
    "test_failure_text::test_what_was_written_to_the_context_is_told": _TOLD,
    "test_failure_text::test_an_assertion_is_explained_in_the_frames_of_the_user": _TOLD,
    "test_header": _TOLD,
    "test_jobs::test_the_header_says_why_a_recipe_runs_one_step_at_a_time": _TOLD,
    "test_jobs::test_the_header_says_once_what_holds_for_all_recipes": _TOLD,
    "test_jobs::test_a_step_that_pytest_holds_back_does_not_run_ahead": _TOLD,
    "test_jobs::test_a_recipe_that_a_test_uses_first_runs_one_step_at_a_time": _TOLD,
    "test_secrets::test_a_variable_named_as_a_secret_is_found_nowhere": _VARIABLES,
    "test_secrets::test_the_block_of_a_step_tells_what_was_masked": _VARIABLES,
    "test_secrets::test_output_that_is_shown_as_it_comes_is_masked": _VARIABLES,
    "test_secrets::test_a_recipe_that_ends_early_tells_no_secret": _VARIABLES,
    "test_secrets::test_where_nothing_is_secret_nothing_is_masked": _VARIABLES,
    "test_use::test_a_failure_is_told_at_the_line_of_the_used_file": _TOLD,
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
    "test_sessions::test_without_the_plugin_the_files_are_left_alone": "nobody knows its options",
    "test_failure_text::test_what_repeats_a_step_works_in_a_folder_below": _TOLD,
    "test_failure_text::test_what_repeats_a_step_has_the_values_that_were_given": _TOLD,
    "test_services::test_the_death_of_a_service_is_an_error_of_its_step_at_the_end": _TOLD,
    "test_shown_in_pages::test_a_run_that_was_killed_and_goes_on": _TOLD,
    "test_shown_in_pages::test_measurements_that_are_out_of_their_limits": _VARIABLES,
    "test_github::test_twelve_failures_are_ten_errors_and_a_notice": _VARIABLES,
}
"""Files and tests that are left out, and why."""


def asks_for_xdist(value: object) -> bool:
    """Tell whether arguments of pytest, one or many, ask for workers of xdist."""
    several = value if isinstance(value, list | tuple) else (value,)
    return any(isinstance(one, str) and re.match(r"-n ?\d*$|--dist=", one) for one in several)


if WANTED:  # pytester takes away what a run imported, and that is an import of a second
    import distributed  # noqa: F401
