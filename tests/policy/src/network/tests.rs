use super::{End, Network, Pod, Port};
use serde_json::{Value, json};

fn pod(namespace: &str, app: &str) -> End {
    let named_ports = [("metrics".to_owned(), Port::tcp(9400))].into();
    End::Pod(Pod {
        namespace: namespace.to_owned(),
        name: app.to_owned(),
        labels: [("app".to_owned(), app.to_owned())].into(),
        named_ports,
        address: Some([10, 0, 0, u8::try_from(app.len()).expect("short")].into()),
    })
}

fn network(specs: &[Value]) -> Network {
    let network = Network::default().namespace("a", &[("team", "x")]).namespace("b", &[]);
    specs.iter().fold(network, |network, spec| {
        network.policy(serde_json::from_value(json!({ "metadata": { "namespace": "a", "name": "p" }, "spec": spec })).expect("a policy"))
    })
}

/// Whether a `client` of `namespace` may connect to the `server` in `a`.
fn reaches_server(spec: Value, namespace: &str, port: Port) -> bool {
    network(&[spec]).may_connect(&pod(namespace, "client"), &pod("a", "server"), port)
}

fn server(ingress: Value) -> Value {
    json!({ "podSelector": { "matchLabels": { "app": "server" } }, "policyTypes": ["Ingress"], "ingress": ingress })
}

#[test]
fn without_a_policy_everything_is_allowed() {
    let client = pod("b", "client");
    assert!(network(&[]).may_connect(&client, &pod("a", "server"), Port::tcp(1)));
    let about_others = json!({ "podSelector": { "matchLabels": { "app": "other" } } });
    assert!(reaches_server(about_others, "b", Port::tcp(1)));
    let in_the_other_namespace = json!({ "podSelector": {} });
    assert!(network(&[in_the_other_namespace]).may_connect(&pod("a", "client"), &pod("b", "server"), Port::tcp(1)));
}

#[test]
fn a_policy_without_rules_denies() {
    assert!(!reaches_server(json!({ "podSelector": {} }), "a", Port::tcp(1)));
    assert!(!reaches_server(server(json!([])), "a", Port::tcp(1)));
}

#[test]
fn policy_types_follow_from_the_rules_where_they_are_not_given() {
    let out = |spec: Value| network(&[spec]).may_connect(&pod("a", "client"), &pod("b", "server"), Port::tcp(1));
    assert!(out(json!({ "podSelector": {} })), "only incoming connections are denied");
    assert!(!out(json!({ "podSelector": {}, "policyTypes": ["Egress"] })));
    assert!(!out(json!({ "podSelector": {}, "egress": [{ "ports": [{ "port": 2 }] }] })));
    assert!(out(json!({ "podSelector": {}, "egress": [{}] })));
}

#[test]
fn peers_are_selected_by_pod_and_namespace() {
    let from = |peer: Value| server(json!([{ "from": [peer] }]));
    let table = [
        (json!({ "podSelector": {} }), true, false),
        (json!({ "podSelector": { "matchLabels": { "app": "other" } } }), false, false),
        (json!({ "namespaceSelector": {} }), true, true),
        (json!({ "namespaceSelector": { "matchLabels": { "team": "x" } } }), true, false),
        (json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "b" } } }), false, true),
        (json!({ "namespaceSelector": {}, "podSelector": { "matchLabels": { "app": "client" } } }), true, true),
        (json!({ "namespaceSelector": {}, "podSelector": { "matchLabels": { "app": "other" } } }), false, false),
        (json!({ "ipBlock": { "cidr": "10.0.0.0/24" } }), true, true),
        (json!({ "ipBlock": { "cidr": "10.0.0.0/24", "except": ["10.0.0.6/32"] } }), false, false),
    ];
    for (peer, from_a, from_b) in table {
        let reached = ["a", "b"].map(|namespace| reaches_server(from(peer.clone()), namespace, Port::tcp(1)));
        assert_eq!(reached, [from_a, from_b], "{peer}");
    }
}

#[test]
fn ports_are_numbers_ranges_and_names() {
    let on = |port: Value| server(json!([{ "ports": [port] }]));
    let table = [
        (json!({ "port": 9400 }), Port::tcp(9400), true),
        (json!({ "port": 9400 }), Port::tcp(9401), false),
        (json!({ "port": 9400 }), Port::udp(9400), false),
        (json!({ "port": 9400, "endPort": 9402 }), Port::tcp(9402), true),
        (json!({ "port": 9400, "endPort": 9402 }), Port::tcp(9403), false),
        (json!({ "port": "metrics" }), Port::tcp(9400), true),
        (json!({ "port": "metrics" }), Port::tcp(9401), false),
        (json!({ "port": "other" }), Port::tcp(9400), false),
        (json!({ "protocol": "UDP" }), Port::udp(53), true),
        (json!({ "protocol": "UDP" }), Port::tcp(53), false),
        (json!({ "protocol": "SCTP", "port": 9400 }), Port::tcp(9400), false),
    ];
    for (port, asked, wanted) in table {
        assert_eq!(reaches_server(on(port.clone()), "a", asked), wanted, "{port} for {asked:?}");
    }
}

#[test]
fn a_rule_needs_both_its_peer_and_its_port() {
    let both = server(json!([{ "from": [{ "podSelector": {} }], "ports": [{ "port": 1 }] }]));
    assert!(reaches_server(both.clone(), "a", Port::tcp(1)));
    assert!(!reaches_server(both.clone(), "a", Port::tcp(2)));
    assert!(!reaches_server(both, "b", Port::tcp(1)));
}

#[test]
fn policies_add_up_and_both_ends_must_agree() {
    let one = server(json!([{ "ports": [{ "port": 1 }] }]));
    let two = server(json!([{ "ports": [{ "port": 2 }] }]));
    let both = network(&[one.clone(), two]);
    let (client, server) = (pod("a", "client"), pod("a", "server"));
    assert_eq!([1, 2, 3].map(|port| both.may_connect(&client, &server, Port::tcp(port))), [true, true, false]);
    let no_way_out = json!({ "podSelector": { "matchLabels": { "app": "client" } }, "policyTypes": ["Egress"] });
    assert!(!network(&[one, no_way_out]).may_connect(&client, &server, Port::tcp(1)));
}

#[test]
fn addresses_outside_are_reached_by_blocks_and_by_rules_without_peers() {
    let to = |egress: Value| {
        let spec = json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": egress });
        network(&[spec]).may_connect(&pod("a", "client"), &End::Outside([192, 0, 2, 1].into()), Port::tcp(443))
    };
    assert!(to(json!([{}])));
    assert!(to(json!([{ "ports": [{ "port": 443 }] }])));
    assert!(to(json!([{ "to": [{ "ipBlock": { "cidr": "192.0.2.0/24" } }] }])));
    assert!(!to(json!([{ "to": [{ "ipBlock": { "cidr": "198.51.100.0/24" } }] }])));
    assert!(!to(json!([{ "to": [{ "namespaceSelector": {} }] }])), "no pod selector takes an address");
}
