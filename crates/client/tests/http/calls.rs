//! What is asked and answered, over every kind of address.

use std::sync::Arc;

use stockd_client::http::{Browse, Client, Condition, Error};
use stockd_client::{
    Address, Answer, ClientTls, Credentials, Edit, Fields, Options, Problem, Symbol,
};
use stockd_web::Config;

use crate::server::{Web, loopback};
use crate::{price, priced, runtime};

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

#[test]
fn a_stock_lives_from_listing_to_delisting() {
    let web = Web::at(loopback());
    let client = Client::new(web.address());
    runtime().block_on(async {
        let brk = symbol("BRK/A");
        let fields = Fields { volume: "10".parse().unwrap(), ..priced("743500.000000001") };
        let listed = client.list(brk, fields, Condition::Unlisted).await.unwrap();
        assert_eq!(
            client.lookup(" BRK/A ").await.unwrap(),
            Answer::Price("743500.000000001".parse().unwrap())
        );
        let again = client.list(brk, fields, Condition::Unlisted).await.unwrap_err();
        assert_eq!(again.problem(), Some(Problem::AlreadyListed));

        let bid = Fields { bid: "1".parse().unwrap(), volume: Edit::Clear, ..Fields::default() };
        let updated = client.update(brk, bid, Condition::Unchanged(listed.etag)).await.unwrap();
        assert_eq!((updated.quote.price, updated.quote.bid), (listed.quote.price, price("1")));
        assert_eq!(updated.quote.volume, None);
        assert_eq!(client.quote("BRK/A").await.unwrap(), Some(updated));
        let late = client.update(brk, bid, Condition::Unchanged(listed.etag)).await.unwrap_err();
        let Error::Refused(refused) = &late else { panic!("{late}") };
        assert_eq!((refused.problem, refused.status), (Some(Problem::VersionDiffers), 412));
        assert!(!late.is_uncertain() && refused.values.contains_key("version"), "{refused:?}");

        let replaced = client.list(brk, fields, Condition::Listed).await.unwrap();
        assert_eq!((replaced.quote.bid, replaced.quote.volume), (None, "10".parse().ok()));
        let after = client.trade(brk, -4, Condition::Unchanged(replaced.etag)).await.unwrap();
        assert_eq!(after.quote.volume, "6".parse().ok());
        let shares: stockd_client::Shares = "0.5".parse().unwrap();
        let after = client.trade(brk, shares, Condition::Always).await.unwrap();
        assert_eq!(after.quote.volume, "6.5".parse().ok());
        let greedy = client.trade(brk, -7, Condition::Always).await.unwrap_err();
        assert_eq!(greedy.to_string(), "volume of 'BRK/A' is 6.5, cannot take 7");

        assert!(client.delist(brk, Condition::Unchanged(listed.etag)).await.is_err());
        assert!(client.delist(brk, Condition::Always).await.unwrap());
        assert!(!client.delist(brk, Condition::Always).await.unwrap());
        assert_eq!(client.lookup("BRK/A").await.unwrap(), Answer::NotFound);
        assert_eq!(client.quote("BRK/A").await.unwrap(), None);
        assert_eq!(client.quote(&"x".repeat(5000)).await.unwrap(), None);
        let gone = client.update(brk, bid, Condition::Always).await.unwrap_err();
        assert_eq!(gone.problem(), Some(Problem::NotListed));
    });
}

#[test]
fn many_names_updates_and_pages_are_asked_for_in_pieces() {
    const STOCKS: usize = 2_500;
    let web = Web::at(loopback());
    let client = Client::new(web.address());
    runtime().block_on(async {
        let name = |number: usize| format!("S{number}");
        let updates = (0..STOCKS).map(|number| (symbol(&name(number)), priced("1.5")));
        // The last has nothing that a stock could be listed with.
        let updates = updates.chain([(symbol("EMPTY"), Fields::default())]);
        let outcomes = client.set_all(updates).await.unwrap();
        assert_eq!(outcomes.len(), STOCKS + 1);
        assert!(outcomes[..STOCKS].iter().all(Result::is_ok));
        assert!(outcomes[STOCKS].is_err());

        let names: Vec<String> = (0..5_000).map(name).chain(["".to_owned()]).collect();
        let answers = client.lookup_all(&names).await.unwrap();
        let priced = Answer::Price("1.5".parse().unwrap());
        assert!(answers[..STOCKS].iter().all(|answer| *answer == priced));
        assert!(answers[STOCKS..].iter().all(|answer| *answer == Answer::NotFound));
        let found = client.quotes(["S7", "NOPE", "S7", &"x".repeat(5000)]).await.unwrap();
        assert_eq!(found.quotes.keys().collect::<Vec<_>>(), ["S7"]);
        assert_eq!(found.missing.len(), 2);

        let (mut pages, mut browsed) = (client.browse(&Browse::default()), Vec::new());
        while let Some(page) = pages.next().await.unwrap() {
            browsed.extend(page.into_iter().map(|quote| quote.symbol));
        }
        browsed.sort_unstable();
        browsed.dedup();
        assert_eq!(browsed.len(), STOCKS);
        let few = Browse { prefix: "S1".to_owned(), pattern: Some("*00".to_owned()) };
        let page = client.browse(&few).next().await.unwrap().unwrap();
        assert_eq!(page.len(), 11);

        let (mut snapshot, mut quotes) = (client.snapshot().await.unwrap(), 0);
        while snapshot.next().await.unwrap().is_some() {
            quotes += 1;
        }
        assert_eq!(quotes, STOCKS);
    });
}

#[test]
fn any_number_of_tasks_shares_few_connections_and_loses_no_increment() {
    const TASKS: usize = 100;
    let web = Web::at(loopback());
    let client = Client::new(web.address());
    let fields = Fields { volume: "0".parse().unwrap(), ..priced("1") };
    runtime().block_on(async {
        client.list(symbol("A"), fields, Condition::Always).await.unwrap();
        let increment = |client: Client| async move {
            loop {
                let read = client.quote("A").await.unwrap().unwrap();
                let volume = read.quote.volume.unwrap().whole().unwrap() + 1;
                let fields =
                    Fields { volume: volume.to_string().parse().unwrap(), ..Fields::default() };
                match client.update(symbol("A"), fields, Condition::Unchanged(read.etag)).await {
                    Ok(_) => return,
                    Err(error) => assert_eq!(error.problem(), Some(Problem::VersionDiffers)),
                }
            }
        };
        // 32 that race, and more that read meanwhile.
        let patient = client.within(crate::PATIENCE);
        let tasks: Vec<_> = (0..32).map(|_| tokio::spawn(increment(patient.clone()))).collect();
        let readers: Vec<_> = (0..TASKS)
            .map(|_| {
                let client = patient.clone();
                tokio::spawn(async move { client.lookup("A").await.unwrap() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for reader in readers {
            reader.await.unwrap();
        }
        let read = client.quote("A").await.unwrap().unwrap();
        assert_eq!(read.quote.volume, "32".parse().ok());
    });
    let limit = stockd_model::limits::HTTP_CLIENT_CONNECTIONS_MAX;
    let accepted = web.metric("stockd_connections_accepted_total{plane=\"web\"}");
    // One more asks for the number.
    assert!(accepted <= limit + 1, "{accepted} connections");
}

/// A plane that listens in every way, and whom to believe.
fn everywhere(directory: &std::path::Path) -> (Web, ClientTls) {
    let (server, client) = stockd_tls::development::pair(directory).unwrap();
    let socket = format!("unix:{}/http.sock", directory.display());
    let http = [loopback().to_string(), "tls:127.0.0.1:0".to_owned(), socket];
    let http = http.iter().map(|address| address.parse().unwrap()).collect();
    let config = Config { http, tls: Some(Arc::new(server)), ..Config::default() };
    (Web::with(Arc::default(), Arc::default(), &config), client)
}

#[test]
fn tcp_tls_and_unix_sockets_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (web, tls) = everywhere(directory.path());
    web.set("A", "1");
    let runtime = runtime();
    for (_, address) in web.web().endpoints() {
        let address = match address {
            // The certificate is for this name.
            Address::Tls { address, .. } => {
                Address::Tls { address: *address, host: "localhost".into() }
            }
            other => other.clone(),
        };
        let options = Options { tls: Some(tls.clone()), ..Options::default() };
        let client = Client::with(address.clone(), options);
        runtime.block_on(async {
            let answer = client.lookup("A").await;
            assert_eq!(answer.unwrap(), Answer::Price("1".parse().unwrap()), "{address}");
        });
        if let Address::Tls { .. } = address {
            let suspicious = runtime.block_on(Client::new(address).lookup("A")).unwrap_err();
            assert!(matches!(suspicious, Error::NotConnected { .. }), "{suspicious}");
        }
    }
}

#[test]
fn a_token_is_shown_and_a_wrong_one_is_refused_with_the_reason() {
    let (web, _authority) = Web::guarded();
    web.set("FEED1", "1");
    web.set("DESK1", "1");
    let runtime = runtime();
    let client = |credentials: Option<Credentials>| {
        Client::with(web.address(), Options { credentials, ..Options::default() })
    };
    let desk = Web::token();
    runtime.block_on(async {
        for credentials in
            [None, Some(Credentials::token("stk_wrong")), Some(desk.clone().of_user("feed"))]
        {
            let client = client(credentials);
            for error in [
                client.lookup("DESK1").await.unwrap_err(),
                client.snapshot().await.unwrap_err(),
                client.watch(Web::watch_of(&["DESK1"])).await.unwrap_err(),
            ] {
                assert_eq!(error.problem(), Some(Problem::Unauthenticated), "{error}");
            }
        }
        for credentials in [desk.clone(), desk.of_user("desk")] {
            let client = client(Some(credentials));
            assert_eq!(client.lookup("DESK1").await.unwrap().to_string(), "1");
            assert_eq!(client.lookup("FEED1").await.unwrap(), Answer::NotPermitted);
            let answers = client.lookup_all(["DESK1", "FEED1", "NOPE"]).await.unwrap();
            assert_eq!(answers[1..], [Answer::NotPermitted, Answer::NotPermitted]);
            let forbidden = client.update(symbol("DESK1"), priced("2"), Condition::Always).await;
            assert_eq!(forbidden.unwrap_err().problem(), Some(Problem::NotPermitted));
        }
    });
}
