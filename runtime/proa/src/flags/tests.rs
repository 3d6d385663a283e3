use super::*;

fn parse(line: &str) -> Result<SidecarFlags, FlagError> {
    parse_in(line, |_| None)
}

fn parse_in(line: &str, env: impl Fn(&str) -> Option<String>) -> Result<SidecarFlags, FlagError> {
    SidecarFlags::parse(line.split('|').filter(|arg| !arg.is_empty()).map(|arg| if arg == "∅" { String::new() } else { arg.to_owned() }), env)
}

fn error(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

#[test]
fn defaults_are_daprs() {
    let flags = parse("--app-id|a").unwrap();
    assert_eq!((flags.http_port, flags.grpc_port, flags.metrics_port, flags.profile_port), (3500, 50001, 9090, 7777));
    assert_eq!((flags.mode, flags.app_protocol, flags.app_port, flags.internal_grpc_port), (Mode::Standalone, AppProtocol::Http, None, None));
    assert_eq!((flags.max_body_size, flags.read_buffer_size), (Some(4 << 20), Some(4 << 10)));
    assert_eq!((flags.graceful_shutdown, flags.block_shutdown, flags.enable_api_logging), (Duration::from_secs(5), None, None));
    assert_eq!((flags.app_max_concurrency, flags.app_health_check.clone()), (None, None));
    assert_eq!((flags.reconcile_interval, flags.actors_disseminate_timeout), (Duration::from_secs(60), Duration::from_secs(30)));
    assert_eq!((flags.log_level.as_str(), flags.app_channel_address.as_str()), ("info", "127.0.0.1"));
    assert_eq!((flags.control_plane_trust_domain.as_str(), flags.control_plane_namespace.as_str()), ("localhost", "default"));
    assert!(flags.enable_metrics && flags.listen_addresses.is_empty() && flags.resources_paths.is_empty() && flags.notes.is_empty());
    assert_eq!(flags.scheduler_job_streams, 3);
}

#[test]
fn one_or_two_dashes_with_and_without_equals() {
    let flags = parse(
        "-app-id=a|--dapr-http-port|3600|-app-max-concurrency|-1|--enable-mtls|--log-as-json=false|stray|--enable-app-health-check=T|--app-port|0",
    )
    .unwrap();
    assert_eq!((flags.app_id.as_str(), flags.http_port, flags.enable_mtls, flags.log_as_json), ("a", 3600, true, false));
    assert!(flags.app_health_check.is_some());
    assert_eq!(flags.app_port, None);
    assert_eq!(parse("--app-id|a|--|--nonsense").unwrap().app_id, "a");
}

#[test]
fn lists_add_up_and_addresses_may_be_empty() {
    let flags = parse("--app-id|a|--resources-path|/x,/y|--resources-path|\"/z,1\"|--config=c1|--config|c2|--scheduler-host-address|a:1, b:2|--placement-host-address|p:1,p:2|--dapr-listen-addresses|::1,127.0.0.1").unwrap();
    assert_eq!(flags.resources_paths, [PathBuf::from("/x"), PathBuf::from("/y"), PathBuf::from("/z,1")]);
    assert_eq!(flags.config, ["c1", "c2"]);
    assert_eq!((flags.scheduler_addresses.len(), flags.placement_addresses.len(), flags.listen_addresses.len()), (2, 2, 2));
    for empty in ["∅", " ", "\"\""] {
        let flags = parse(&format!("--app-id|a|--scheduler-host-address|{empty}|--placement-host-address|{empty}")).unwrap();
        assert!(flags.scheduler_addresses.is_empty() && flags.placement_addresses.is_empty(), "{empty}");
    }
}

#[test]
fn wrong_command_lines_are_refused_by_name() {
    assert_eq!(parse("--app-idd|a"), Err(FlagError::Usage("unknown flag: --app-idd (did you mean --app-id?)".into())));
    assert_eq!(parse("--completely-different|a"), Err(FlagError::Usage("unknown flag: --completely-different".into())));
    assert_eq!(error("--app-id"), "flag needs an argument: --app-id");
    assert_eq!(error("--=x"), "bad flag syntax: --=x");
    assert_eq!(
        error("--app-max-concurrency|many"),
        "invalid argument \"many\" for \"--app-max-concurrency\" flag: strconv.ParseInt: parsing \"many\": invalid syntax"
    );
    assert_eq!(error("--enable-mtls=yes"), "invalid argument \"yes\" for \"--enable-mtls\" flag: strconv.ParseBool: parsing \"yes\": invalid syntax");
    assert!(error("--dapr-block-shutdown-duration|5").contains("time: missing unit in duration \"5\""));
    assert_eq!(parse("--help"), Err(FlagError::Help));
}

#[test]
fn values_that_make_no_sense_are_refused_in_daprs_words() {
    assert_eq!(error(""), "parameter app-id cannot be empty");
    assert_eq!(error("--app-id|a.b"), "parameter app-id cannot contain dots");
    assert_eq!(error("--app-id|a|--app-port|3500"), "the 'dapr-http-port' argument value 3500 conflicts with 'app-port'");
    assert_eq!(error("--app-id|a|--app-port|50001"), "the 'dapr-grpc-port' argument value 50001 conflicts with 'app-port'");
    assert_eq!(error("--app-id|a|--app-protocol|FTP"), "invalid value for 'app-protocol': FTP");
    assert_eq!(error("--app-id|a|--dapr-http-port|x"), "error parsing dapr-http-port flag: strconv.Atoi: parsing \"x\": invalid syntax");
    assert_eq!(
        error("--app-id|a|--app-health-probe-interval|1|--app-health-probe-timeout|1001"),
        "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'"
    );
    assert_eq!(error("--app-id|a|--disable-init-endpoints|config,foo"), "invalid value for 'disable-init-endpoints': foo");
    assert_eq!(
        error("--app-id|a|--actors-disseminate-timeout|0s"),
        "Failed to parse flags: invalid value for 'actors-disseminate-timeout' option: must be positive, got 0s"
    );
    assert!(error("--app-id|a|--max-body-size|4MB").starts_with("Failed to parse flags: invalid value for 'max-body-size' option: "));
}

#[test]
fn sizes_and_deprecated_flags() {
    let flags = parse("--app-id|a|--dapr-http-max-request-size|8|--dapr-http-read-buffer-size|16|--components-path|/c|--app-ssl|--app-protocol|grpc|--reminders-service|x").unwrap();
    assert_eq!((flags.max_body_size, flags.read_buffer_size), (Some(8 << 20), Some(16 << 10)));
    assert_eq!(flags.resources_paths, [PathBuf::from("/c")]);
    assert_eq!(flags.app_protocol, AppProtocol::Grpcs);
    assert!(flags.notes.contains(&"Flag --components-path has been deprecated, use --resources-path".to_owned()), "{:?}", flags.notes);
    let flags = parse("--app-id|a|--max-body-size|-1|--read-buffer-size|0|--dapr-http-max-request-size|8").unwrap();
    assert_eq!((flags.max_body_size, flags.read_buffer_size), (Some(4 << 20), None));
}

#[test]
fn queries_are_answered_before_anything_is_checked() {
    for query in ["--version", "-build-info", "--wait"] {
        let flags = parse(&format!("{query}|--app-protocol|nonsense")).unwrap();
        assert!(flags.version || flags.build_info || flags.wait);
    }
    assert_eq!(parse("--wait|--dapr-http-port|3700").unwrap().http_port, 3700);
}

#[test]
fn the_environment_stands_in_for_some_flags() {
    let env = |name: &str| match name {
        "DAPR_TRUST_ANCHORS" => Some("PEM".to_owned()),
        "DAPR_CONTROLPLANE_NAMESPACE" => Some("dapr-system".to_owned()),
        "DAPR_CONTROLPLANE_TRUST_DOMAIN" => Some("cluster.local".to_owned()),
        "DAPR_SCHEDULER_HOST_ADDRESS_DNS_A" => Some("s1:1,s2:1".to_owned()),
        _ => None,
    };
    let flags = parse_in("--app-id|a", env).unwrap();
    assert_eq!((flags.trust_anchors.as_str(), flags.control_plane_namespace.as_str(), flags.scheduler_addresses.len()), ("PEM", "dapr-system", 2));
    let flags = parse_in("--app-id|a|--control-plane-trust-domain|mine|--scheduler-host-address|s:1", env).unwrap();
    assert_eq!((flags.control_plane_trust_domain.as_str(), flags.scheduler_addresses.as_slice()), ("mine", &["s:1".to_owned()][..]));
}

#[test]
fn three_states_of_api_logging_and_disabled_endpoints() {
    assert_eq!(parse("--app-id|a|--enable-api-logging=false").unwrap().enable_api_logging, Some(false));
    assert_eq!(parse("--app-id|a|--enable-api-logging").unwrap().enable_api_logging, Some(true));
    let flags = parse("--app-id|a|--disable-init-endpoints| Config ,").unwrap();
    assert!(flags.disable_config_endpoint && !flags.disable_subscribe_endpoint);
    assert_eq!(parse("--app-id|a|--dapr-block-shutdown-duration|180s").unwrap().block_shutdown, Some(Duration::from_secs(180)));
}

#[test]
fn the_table_is_sound() {
    let names: std::collections::BTreeSet<_> = table::FLAGS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), table::FLAGS.len());
    let usage = table::usage("daprd");
    assert!(usage.contains("--app-id string") && !usage.contains("--app-ssl"));
    assert!(parse("--mode|nowhere|--app-id|a").is_err());
}
