//! The address of gRPC alone, which serves nothing else.

use stockd_web::Config;

use crate::Web;
use crate::client::Http;
use crate::rpc::{self, proto};

#[test]
fn an_address_of_grpc_serves_grpc_and_nothing_else() {
    let grpc = vec![([127, 0, 0, 1], 0).into()];
    let web = Web::with(Config { grpc, ..Config::default() }, Default::default());
    web.set("A", "1");
    let address = {
        let endpoints = web.server.as_ref().unwrap().endpoints();
        let (setting, address) = &endpoints[1];
        assert_eq!(*setting, "grpc");
        address.to_string()
    };
    let mut http = Http::connect(&address);
    for path in ["/v1/stocks/A", "/v1/stocks/NOPE", "/v1/stock?symbol=A", "/health/live", "/"] {
        let refused = http.get(path);
        assert_eq!((refused.status, &refused.json()["type"]), (404, &"/problems/no-route".into()));
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let socket = runtime.block_on(tokio::net::TcpStream::connect(address)).unwrap();
    let mut client = rpc::client(&runtime, socket);
    let asked = proto::LookupRequest { symbol: "A".to_owned() };
    let quote = runtime.block_on(client.lookup(asked)).unwrap().into_inner();
    assert_eq!(quote.price.unwrap().text, "1");
}
