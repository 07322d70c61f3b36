"""Which test sees what an option does: section → option → ids of tests.

An option that is added gets a line here, and a test that enters through the command, the API or
the process and fails where the option does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from karbor import config

_SERVICE = "tests/unit/options/test_service_options.py::"
_WORK = "tests/unit/options/test_work_options.py::"
_SCHEDULE = "tests/unit/api/test_schedule_options.py::"
_HOSTILE = "tests/unit/api/test_hostile_requests.py::"
_PAGES = "tests/unit/api/test_large_pages.py::"
_FRONT = "tests/unit/api/test_front.py::"
_LIMITS = "tests/unit/worker/test_limits.py::"
_METRICS = "tests/unit/telemetry/test_metrics.py::"
_NOTIFICATIONS = "tests/unit/telemetry/test_notifications.py::"
_AUDIT = "tests/unit/api/test_audit.py::"
_CLUSTER = "tests/unit/clients/test_kubernetes.py::"
_SERVICES = "tests/unit/clients/test_service_options.py::"
_CATALOG = "tests/unit/providers/test_catalog.py::"
_CREDENTIAL = "tests/chaos/test_credential.py::"
_WAITED = "tests/unit/engine/test_driver.py::"

_PLACES = (_SERVICE + "test_its_files_have_the_places_of_the_options",)
_OPERATIONS = (_SERVICE + "test_workers_drive_so_many_operations_at_once",)
_TRIGGERS = (_SCHEDULE + "test_triggers_may_be_what_the_options_allow",)
_REGION = (
    _WORK + "test_a_service_works_in_the_region_and_by_the_interface_of_the_options",)
_LOOKS = (_SERVICE + "test_a_worker_looks_as_often_as_it_is_told",)
_LISTENS = (_SERVICE + "test_it_listens_at_its_address_and_port",)
_PROMETHEUS = (_SERVICE + "test_a_worker_answers_prometheus_at_its_address_and_port",)
_CLUSTERS = (_CLUSTER + "test_it_is_asked_with_the_token_of_its_file_as_it_is_now",)
_DRIVER = (_LIMITS + "test_the_driver_keeps_to_the_options",)
_OF_PLUGINS = (_WORK + "test_each_limit_of_plugins_counts_for_providers_and_projects",
               _WAITED + "test_only_so_many_limited_steps_are_under_way_at_once")
_WAITS = (_LIMITS + "test_every_kind_of_waiting_of_a_plugin_we_ship_has_an_option",)
_QUOTAS = (_SCHEDULE + "test_a_project_has_as_many_plans_and_checkpoints_as_its_quota",)
_WAITING = (_NOTIFICATIONS + "test_so_many_notifications_wait_for_so_long",)
_TOGETHER = (_METRICS + "test_plans_can_be_told_together_and_the_database_elsewhere",)

SEEN_BY: Mapping[str, Mapping[str, Sequence[str]]] = {
    "DEFAULT": {
        "state_path": _PLACES,
        "provider_config_dir": (_CATALOG + "test_a_directory_that_is_named_must_be_there",),
        "default_provider": (_CATALOG + "test_of_several_one_must_be_named",),
        "region_name": _REGION, "interface": _REGION,
        "host": (_SERVICE + "test_its_machine_has_the_name_of_the_option",),
        "report_interval": _LOOKS, "sweep_interval": _LOOKS,
        "vault_collection_interval": (
            "tests/unit/worker/test_vault_collector.py::test_it_collects_as_often_as_it_is_told",),
        "service_down_time": (_SCHEDULE + "test_a_service_is_down_after_so_many_seconds",),
        "pickup_interval": (
            _SERVICE + "test_a_round_comes_after_the_time_that_it_is_told",),
        "osapi_karbor_listen": _LISTENS, "osapi_karbor_listen_port": _LISTENS,
        "osapi_karbor_threads": (_SERVICE + "test_so_many_threads_answer",),
        "osapi_karbor_connections": (_SERVICE + "test_so_many_connections_are_open_at_once",),
        "osapi_karbor_receive_time": (
            _SERVICE + "test_a_request_has_so_much_time_to_arrive",),
        "osapi_max_limit": (
            "tests/unit/api/test_lists.py::test_links_lead_through_all_of_it",),
        "osapi_max_page_bytes": (
            _PAGES + "test_a_page_of_large_things_ends_early_and_says_so",),
        "osapi_max_plan_resources": (
            _HOSTILE + "test_a_plan_names_as_many_resources_as_the_cloud_allows",),
        "osapi_karbor_base_URL": (
            "tests/unit/api/test_lists.py::test_addresses_are_those_that_clients_can_reach",),
        "osapi_max_request_body_size": (
            _SERVICE + "test_a_body_has_so_many_bytes",
            _FRONT + "test_a_body_may_be_so_long_and_no_longer"),
        "osapi_max_bodies_size": (_SERVICE + "test_all_bodies_together_have_so_many_bytes",),
        "quota_plans": _QUOTAS, "quota_checkpoints": _QUOTAS},
    "healthcheck": {"disable_by_file_path": (_FRONT + "test_health",)},
    "database": {"connection": _PLACES},
    "fs_bank": {"path": _PLACES},
    "http": {
        "connect_timeout": (_WORK + "test_requests_have_the_time_limits_of_the_options",),
        "read_timeout": (_WORK + "test_requests_have_the_time_limits_of_the_options",),
        "retries": (_WORK + "test_a_request_that_reads_is_repeated_so_often",),
        "retry_longest": (_WORK + "test_the_pause_before_it_is_so_long_at_most",)},
    "limits": {
        "workers": _DRIVER, "carriers": _DRIVER,
        "provider_operations": _OPERATIONS, "project_operations": _OPERATIONS,
        **{f"{whose}_{kind}": _OF_PLUGINS for kind in config.LIMITED
           for whose in ("provider", "project")}},
    "waits": {
        **dict.fromkeys(config.WAITS, (
            *_WAITS, _WAITED + "test_a_step_that_sees_no_news_says_what_it_waits_for_since_and_"
            "until_when")),
        "unavailable": (
            *_WAITS,
            _WAITED + "test_a_service_that_does_not_answer_is_tried_for_so_long_and_it_is_told"),
        "made_anew": (_WORK + "test_a_backup_that_cinder_broke_off_is_made_anew_so_often",),
        "made_anew_pause": (_WORK + "test_it_is_made_anew_after_the_pause_of_the_option",)},
    "credentials": {
        "key_file": _PLACES,
        "allow_expired_window": (
            _WORK + "test_a_token_serves_for_the_window_behind_its_end",),
        "strategy": (_WORK + "test_an_operation_runs_on_what_the_strategy_says",),
        "longest_operation": (
            _WORK + "test_a_trust_lasts_as_long_as_the_longest_operation",),
        "trust_roles": (_WORK + "test_a_trust_passes_on_the_roles_of_the_option",),
        "reader_roles": (_WORK + "test_who_only_reads_is_told_by_the_roles_of_the_option",),
        "slowest_rate": (_WORK + "test_an_operation_is_estimated_by_the_slowest_rate",),
        "refusal_wait": (
            _CREDENTIAL + "test_what_is_taken_back_for_a_while_costs_no_operation",
            _CREDENTIAL + "test_what_a_dead_credential_left_behind_is_removed_when_somebody_can_"
            "log_in_again"),
        "service_role": (
            _WORK + "test_the_service_user_needs_the_role_of_the_option",)},
    "schedule": {
        "min_interval": _TRIGGERS, "min_window_time": _TRIGGERS, "max_window_time": _TRIGGERS,
        "poll_interval": (_SCHEDULE + "test_an_engine_looks_again_after_so_many_seconds",),
        "rights_days": (_SCHEDULE + "test_a_schedule_asks_for_rights_of_so_many_days",),
        "rights_warning_days": (
            _SCHEDULE + "test_rights_end_soon_from_so_many_days_before",),
        "history_days": (
            _SCHEDULE + "test_what_came_of_a_time_is_seen_for_so_many_days",)},
    "kubernetes": {
        "endpoint": (
            *_CLUSTERS, _CLUSTER + "test_without_an_address_there_is_none_and_it_says_where_to_"
            "put_one"),
        "project_id": (_CLUSTER + "test_it_belongs_to_one_project",),
        "namespace": _CLUSTERS, "token_file": _CLUSTERS,
        "ca_file": (
            _SERVICES + "test_the_cluster_is_trusted_by_the_certificates_of_its_option",)},
    "metrics": {
        "enabled": (*_PROMETHEUS, _METRICS + "test_a_worker_answers_only_where_that_is_enabled"),
        "listen_address": _PROMETHEUS, "listen_port": _PROMETHEUS,
        "api": (_SERVICE + "test_the_api_tells_figures_where_that_is_wanted",),
        "database": _TOGETHER, "plans": _TOGETHER,
        "fresh": (_SERVICE + "test_figures_of_the_database_are_told_again_for_so_long",)},
    "notifications": {
        "enabled": (_NOTIFICATIONS + "test_oslo_messaging_gets_the_event",
                    _NOTIFICATIONS + "test_nothing_is_loaded_where_it_is_not_enabled"),
        "waiting": _WAITING, "shutdown_timeout": _WAITING},
    "audit": {
        "enabled": (_AUDIT + "test_each_request_arrives_as_an_event",),
        "map_file": (_AUDIT + "test_it_is_off_unless_it_is_enabled_and_needs_its_map",),
        "ignore_methods": (_AUDIT + "test_methods_may_be_left_out",)},
    **{service: dict.fromkeys(
        ("endpoint_override", "interface", "region_name", "service_type"),
        (_SERVICES + "test_each_service_is_where_its_section_says",))
       for service in config.SERVICES}}
