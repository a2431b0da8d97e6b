//! The SDK's way to servers over an environment's network, real or simulated.

use std::time::Duration;

use chronos_client::{Client, ClusterAdmin, Options};
use chronos_domain::Invalid;
use chronos_env::{Env, Tasks};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// A client of the nodes at `addresses`, whose connections begin on the host of `env`.
pub(super) fn client(env: &Env, addresses: &str, options: Options) -> Result<Client, Invalid> {
    let (env, like) = (env.clone(), options.clone());
    Client::connect_through(addresses, options, move |address| channel(&env, address, &like))
}

/// A client that asks at one address only.
pub(super) fn only(env: &Env, address: &str, options: Options) -> Client {
    Client::over(vec![channel(env, address, &options).expect("the address of a node is one")], options)
}

/// An operator who asks at one address.
pub(super) fn operator(env: &Env, address: &str, options: Options) -> ClusterAdmin {
    ClusterAdmin::over(vec![channel(env, address, &options).expect("the address of a node is one")], options)
}

fn channel(env: &Env, address: &str, options: &Options) -> Result<Channel, Invalid> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| Invalid::new("address", format!("{address:?} is no address")))?;
    let (net, timeout, to) = (env.net.clone(), options.connect_timeout, address.to_owned());
    let connect = service_fn(move |_| {
        let (net, to) = (net.clone(), to.clone());
        async move { net.connect(&to, timeout).await.map(TokioIo::new) }
    });
    Ok(endpoint
        .executor(Hands(env.tasks.clone()))
        .connect_timeout(options.connect_timeout + Duration::from_secs(1))
        .http2_keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connect))
}

/// Carries out what tonic starts on the side: tasks of the simulated process.
#[derive(Clone)]
struct Hands(Tasks);

impl<F> Executor<F> for Hands
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        drop(self.0.spawn("client", work));
    }
}
