//! The suite of `abide-storage`, run against this store in a folder and in memory.

use std::sync::Arc;

use abide_storage::suite::{self, Dice, masters};
use abide_storage_sqlite::{SqliteOptions, SqliteStore};
use proptest::prelude::*;

fn in_folder() -> (Arc<SqliteStore>, Option<tempfile::TempDir>) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions {
        data: &folder.path().join("data"),
        keys: masters(),
        chance: Arc::new(Dice::default()),
        commit_delay: None,
    };
    (SqliteStore::open(options).expect("a store"), Some(folder))
}

fn in_memory() -> (Arc<SqliteStore>, Option<tempfile::TempDir>) {
    (SqliteStore::open_in_memory(masters(), Arc::new(Dice::default())).expect("a store"), None)
}

/// A test per case and kind of store.
macro_rules! conforms {
    ($($area:ident: $($case:ident),+;)+) => {
        mod folder { $(mod $area { $(
            #[tokio::test]
            async fn $case() {
                let (store, _folder) = crate::in_folder();
                crate::suite::$area::$case(&*store).await;
            }
        )+ })+ }
        mod memory { $(mod $area { $(
            #[tokio::test]
            async fn $case() {
                let (store, _) = crate::in_memory();
                crate::suite::$area::$case(&*store).await;
            }
        )+ })+ }
    };
}

conforms! {
    accounts:
        keys_open_until_revoked,
        keys_have_their_own_limit,
        organization_names_are_unique;
    consent_search:
        those_decided_last_come_first,
        each_filter_lets_its_own_through,
        i13_lists_and_answers_keep_to_their_organization,
        the_erased_are_in_no_list_and_no_answer,
        what_is_relied_on_stands_now,
        a_hash_is_held_against_what_was_recorded;
    consents:
        each_operation_leaves_all_its_parts,
        what_was_told_stays_as_it_was,
        a_refused_call_leaves_nothing,
        a_second_withdrawal_changes_nothing,
        a_withdrawal_ends_what_waits_for_its_time,
        answers_for_a_time_are_bounded,
        particulars_leave_what_waits_for_its_time,
        an_older_decision_recorded_late_changes_history_only,
        a_clock_set_back_does_not_undo_a_withdrawal,
        time_alone_ends_and_begins_permissions,
        particulars_change_alone,
        other_bases_make_no_events,
        a_large_batch_is_split;
    counts:
        p10_totals_count_each_delivery_once,
        p10_reports_are_counted_once,
        p10_figures_over_time_are_folded,
        p24_what_waits_is_counted;
    delivery_log:
        p24_deliveries_are_listed_by_page,
        p24_few_deliveries_are_found_beside_many,
        p24_a_stop_shows_in_lists_at_once,
        p24_what_is_being_sent_is_listed,
        p24_a_delivery_is_shown_whole;
    deletions:
        i13_a_deletion_is_asked_for_and_taken_back,
        nothing_is_written_while_deleting,
        deliveries_wait_for_a_restoration,
        i11_a_deleted_organization_is_unreadable_and_goes,
        a_freed_name_is_taken_again,
        late_work_of_a_deleted_organization_harms_nobody;
    deliveries:
        hot_rows_are_handed_over_with_their_event,
        lost_rows_are_found_again,
        due_rows_are_claimed_in_order,
        full_endpoints_stand_in_nobodys_way,
        full_endpoints_rows_follow_a_stop,
        rows_are_parked_and_taken_in_pages,
        rows_are_given_back,
        outcomes_lead_where_core_says,
        a_schedule_is_worked_off,
        a_lost_opened_attempt_counts,
        an_attempt_never_sent_takes_no_step,
        an_attempt_cut_off_counts,
        an_attempt_never_sent_of_an_ended_delivery_is_late,
        late_outcomes_move_nothing,
        an_earlier_attempts_outcome_moves_nothing,
        a_repeated_report_changes_nothing,
        a_hot_failure_is_retried;
    endpoint_tests:
        a_test_can_come_before_the_first_event,
        a_test_goes_to_its_endpoint_alone,
        a_test_is_one_attempt_whatever_it_shows,
        a_test_needs_its_endpoint_and_room,
        a_test_that_is_cut_off_is_over;
    failing:
        sw_18_what_fails_for_long_is_warned_of_and_stopped,
        sw_18_only_what_failed_itself_is_stopped,
        sw_18_what_needs_somebody_is_found;
    endpoints:
        a_pause_cancels_and_skips,
        a_pause_ends_what_is_under_way,
        a_pause_holds_until_resumed,
        a_deletion_cancels,
        gone_stops_an_endpoint,
        an_event_goes_to_those_that_want_it,
        changes_are_counted_and_secrets_kept,
        secrets_are_replaced_with_an_overlap,
        auth_and_overrides_are_kept,
        credentials_stay_with_their_host,
        live_secrets_are_bounded,
        the_engine_hears_of_changes;
    exports:
        an_export_tells_all_that_was_said,
        i13_exports_are_apart;
    feeds:
        events_are_read_in_pages,
        events_are_filtered_by_kind,
        erased_people_keep_their_places,
        decisions_are_read_in_pages,
        a_feed_is_begun_at_a_time_or_its_end,
        the_audit_log_is_read_in_pages,
        i13_feeds_are_apart;
    idempotency:
        a_call_is_carried_out_once,
        keys_of_organizations_are_apart,
        a_call_is_remembered_for_a_day,
        erasing_a_person_erases_answers;
    import_lines:
        what_was_tried_is_forgotten,
        the_same_id_and_time_is_not_yet_the_same,
        a_withdrawal_keeps_its_time,
        what_begins_later_is_told_as_a_change,
        an_endpoint_comes_as_it_was,
        an_endpoint_hears_of_what_follows_it,
        a_policy_comes_as_it_was,
        i13_a_line_names_no_others_policy,
        what_the_organization_forbids_is_refused,
        what_was_born_here_keeps_its_id;
    imports:
        what_is_brought_keeps_its_ids_and_times,
        an_import_can_be_run_again,
        all_lines_or_none,
        a_dry_run_leaves_nothing,
        an_original_id_names_one_thing,
        p35_a_hash_is_kept_as_it_came,
        p37_what_is_brought_is_told_where_that_is_wanted,
        p37_life_goes_on_under_the_original_ids,
        what_is_over_is_not_told,
        i13_original_ids_are_an_organizations_own,
        i11_an_erased_person_is_not_brought_back,
        i11_an_erased_persons_original_ids_are_gone;
    isolation:
        i13_no_id_opens_anothers_rows;
    jobs:
        sw_19_failed_deliveries_run_again,
        sw_19_a_retry_keeps_to_its_filter,
        sw_19_missed_events_are_sent,
        i7_a_replay_in_a_lane_sends_the_state,
        sw_19_a_stopped_endpoint_is_sent_nothing,
        i2_what_waits_is_given_up,
        sw_19_a_job_is_stopped,
        sw_19_a_page_of_a_job_is_short,
        sw_19_a_retry_leaves_what_moved_on_and_tests,
        sw_19_a_job_stands_still_during_a_deletion,
        i13_jobs_keep_to_their_organization,
        sw_13_a_gone_endpoints_deliveries_end;
    keys:
        rotation_in_pages;
    lanes:
        i6_latest_state_with_increasing_time,
        batches_are_their_own_content,
        i7_newer_supersedes_waiting,
        i7_one_open_attempt,
        i7_confirmed_is_sent_again_by_hand_only,
        i7_unknown_end_is_sent_once_more,
        i7_never_sent_frees_the_lane,
        i7_cut_off_is_sent_once_more,
        i7_late_recording_is_sent_once_more,
        i7_a_late_outcome_closes_no_other_attempt,
        i7_a_late_outcome_beside_an_open_attempt_is_sent_once_more,
        i7_a_cancelled_open_attempt_frees_its_lane;
    leases:
        leases_begin_and_end;
    organizations:
        founding_makes_a_key,
        an_organization_changes,
        strict_purposes_are_kept,
        purposes_are_created_and_listed,
        keys_are_read_in_pages;
    policies:
        each_change_is_told,
        versions_are_unique_while_they_live;
    retries:
        a_final_delivery_runs_again,
        a_cancelled_delivery_runs_again,
        a_held_delivery_is_refused;
    subjects:
        an_erased_person_is_unreadable,
        the_engine_hears_of_erasures,
        the_reference_is_free_again,
        hot_deliveries_follow,
        a_batch_loses_only_the_erased_part,
        a_batch_keeps_no_answers;
    users:
        an_invitation_makes_a_user,
        a_newer_link_voids_the_older,
        sessions_live_for_their_time,
        sessions_end_with_what_they_stood_on,
        an_active_owner_stays,
        the_first_owner_takes_the_offer,
        i13_users_are_apart,
        users_are_listed_by_page;
}

/// Longer where the whole test command runs, shorter on every commit.
fn walks() -> u32 {
    let quick = std::env::var("ABIDE_TEST_FORM").is_ok_and(|form| form == "quick");
    if quick { 10 } else { 60 }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: walks(), failure_persistence: None, ..ProptestConfig::default()
    })]

    /// I1, I2, I3, I5: the invariants hold over random walks.
    #[test]
    fn random_walks(steps in prop::collection::vec(any::<(u8, u8)>(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (store, _) = in_memory();
        runtime.block_on(suite::walks::whatever_happens_the_invariants_hold(&*store, &steps));
    }
}
