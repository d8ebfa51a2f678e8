//! Settings: a flag wins over its `ABIDE_...` variable, that over the TOML file, that over the default.
//!
//! Flag, variable and TOML key of a setting come from the same field below. The file's known keys are read off the
//! flags, so neither can drift from the other.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use serde::Deserialize;

use crate::exit::Refused;

/// The call was wrong, not the world: the exit code is 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Where the data is: asked by every command that touches it.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default)]
pub(crate) struct PlaceSettings {
    /// Folder of the data [default: ./abide-data]
    #[arg(long, env = "ABIDE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// File of the master keys; keep a copy apart from backups of the data [default: DIR.key beside the data folder]
    #[arg(long, env = "ABIDE_MASTER_KEY", value_name = "FILE")]
    master_key: Option<PathBuf>,
    /// File where erasures are noted for `abide restore`, in no backup as the master keys are [default: FILE.erasures
    /// beside the master key file]
    #[arg(long, env = "ABIDE_ERASURE_JOURNAL", value_name = "FILE")]
    erasure_journal: Option<PathBuf>,
    /// PostgreSQL in place of the embedded database, as postgres://USER:PASSWORD@HOST/DATABASE; nodes with the same one
    /// share the work
    #[arg(long, env = "ABIDE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// How to serve.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default)]
pub(crate) struct ServeSettings {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8420]
    #[arg(long, env = "ABIDE_LISTEN", value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Development: webhooks may go to plain http on this machine; true, false, 1 or 0
    #[arg(
        long, env = "ABIDE_DEV", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new()
    )]
    dev: Option<bool>,
    /// A network that webhooks may reach although it is not public, such as 10.20.0.0/16; may be repeated
    #[arg(
        long, env = "ABIDE_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',', value_parser = network
    )]
    allow_network: Vec<IpNet>,
    #[command(flatten)]
    #[serde(flatten)]
    public: PublicSettings,
    /// A network whose proxies are believed where a caller is (`X-Forwarded-For`); may be repeated [default: this
    /// machine]
    #[arg(
        long, env = "ABIDE_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', value_parser = network
    )]
    trusted_proxy: Vec<IpNet>,
    /// How long a stopping server waits for open calls and sends [default: 20]
    #[arg(long, env = "ABIDE_DRAIN_SECONDS", value_name = "N", value_parser = clap::value_parser!(u32).range(0..=3600))]
    drain_seconds: Option<u32>,
    /// What this node does, where several share a PostgreSQL database: all, api (no deliveries) or deliver (no API, no
    /// dashboard) [default: all]
    #[arg(long, env = "ABIDE_ROLE", value_name = "ROLE", value_enum)]
    role: Option<Role>,
    /// How this node is called in `abide nodes` [default: the machine's name]
    #[arg(long, env = "ABIDE_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// How much to log: off, error, warn, info, debug, trace, or a filter [default: info]
    #[arg(long, env = "ABIDE_LOG", value_name = "LEVEL")]
    log: Option<String>,
    /// For benchmarks only: hold every commit up by so many milliseconds, to stand for a slow disk
    #[arg(long, env = "ABIDE_BENCH_COMMIT_DELAY_MS", value_name = "N", hide_short_help = true)]
    bench_commit_delay_ms: Option<u32>,
}

/// Where the dashboard is found: asked by every command that makes a link to it.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default)]
pub(crate) struct PublicSettings {
    /// Where browsers find the dashboard, such as `https://abide.example.org`: for links, and whether cookies are for
    /// https alone [default: http:// and the address listened on]
    #[arg(long, env = "ABIDE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
}

/// Where to find the file with further settings.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigFile {
    /// TOML file with settings; its keys are the long flags with `_` for `-`
    #[arg(long, env = "ABIDE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where the data is, as a command that works on it is told.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DataSettings {
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    file: ConfigFile,
}

impl DataSettings {
    /// By its flags, then by the file, then by the defaults.
    pub(crate) fn settle(self) -> Result<Place, Usage> {
        self.place.settle(&self.file)
    }
}

/// The data folder that a copy is made of, and where to.
#[derive(Debug, Clone, Args)]
pub(crate) struct CopySettings {
    /// Folder of the data; no server may run on it
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The PostgreSQL database to copy to, empty so far, as postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "ABIDE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    to: String,
    /// File of the master keys [default: DIR.key beside the data folder]
    #[arg(long, env = "ABIDE_MASTER_KEY", value_name = "FILE")]
    master_key: Option<PathBuf>,
}

impl CopySettings {
    /// The place of the data, and the database to copy it to.
    pub(crate) fn settle(self) -> Result<(Place, DatabaseUrl), Usage> {
        let place = match self.master_key {
            Some(key_file) => Place::new(self.from, key_file),
            None => Place::with_default_key_file(self.from)?,
        };
        Ok((place, DatabaseUrl(self.to)))
    }
}

/// Where the data is, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The key file.
    pub(crate) key_file: PathBuf,
    /// The journal of erasures.
    pub(crate) journal: PathBuf,
    /// The PostgreSQL database that holds the data, where the folder does not.
    pub(crate) database_url: Option<DatabaseUrl>,
}

/// A URL that may hold a password: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl(pub(crate) String);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

/// What a node does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It serves and delivers.
    #[default]
    All,
    /// It serves; others deliver what it takes.
    Api,
    /// It delivers, and says how it is.
    Deliver,
}

impl Role {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Deliver => "deliver",
        }
    }
}

/// The machine's own name.
fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How to serve, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Plain http to loopback.
    pub(crate) dev: bool,
    /// Networks opened by the operator (I10).
    pub(crate) allow_network: Vec<IpNet>,
    /// Where browsers find the dashboard, where the operator says so; without a slash at the end.
    pub(crate) public_url: Option<String>,
    /// Proxies that are believed where a caller is.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The bound on draining.
    pub(crate) drain: Duration,
    /// What this node does.
    pub(crate) role: Role,
    /// How it is called.
    pub(crate) node_name: String,
    /// The log level or filter.
    pub(crate) log: String,
    /// What each commit is held up by, for a benchmark.
    pub(crate) commit_delay: Option<Duration>,
}

impl PlaceSettings {
    /// These, then the file's, then the defaults.
    pub(crate) fn settle(self, file: &ConfigFile) -> Result<Place, Usage> {
        let theirs: Self = file.read()?;
        let data = self.data.or(theirs.data).unwrap_or_else(|| PathBuf::from("abide-data"));
        let database_url = self.database_url.or(theirs.database_url).map(DatabaseUrl);
        let place = match self.master_key.or(theirs.master_key) {
            Some(key_file) => Place::new(data, key_file),
            None => Place::with_default_key_file(data)?,
        };
        let journal = self.erasure_journal.or(theirs.erasure_journal);
        let journal = journal.unwrap_or_else(|| place.journal.clone());
        Ok(Place { journal, database_url, ..place })
    }
}

impl Place {
    /// The data folder and the key file, with the journal of erasures beside that.
    pub(crate) fn new(data: PathBuf, key_file: PathBuf) -> Self {
        let mut journal = key_file.clone().into_os_string();
        journal.push(".erasures");
        Self { data, key_file, journal: journal.into(), database_url: None }
    }

    /// This, for what works on a data folder alone; refused where the data are in PostgreSQL, with what is to be used there.
    pub(crate) fn in_folder(self, instead: &str) -> Result<Self, Refused> {
        match &self.database_url {
            None => Ok(self),
            Some(_) => Err(Refused(format!(
                "the data are in PostgreSQL, as --database-url, ABIDE_DATABASE_URL or the configuration file says, and this \
                 works on a data folder alone: {instead}; the book says how in \"Keep the data in PostgreSQL\" \
                 (docs/book/src/tasks/postgresql.md)"
            ))),
        }
    }

    /// The data folder with the key file beside it.
    pub(crate) fn with_default_key_file(data: PathBuf) -> Result<Self, Usage> {
        let key_file = beside(&data, ".key")?;
        Ok(Self::new(data, key_file))
    }
}

impl PublicSettings {
    /// This, then the file's. Without either, only a server knows.
    pub(crate) fn settle(self, file: &ConfigFile) -> Result<Option<String>, Usage> {
        let theirs: Self = file.read()?;
        self.public_url.or(theirs.public_url).map(|url| base_url(&url)).transpose()
    }
}

impl ServeSettings {
    /// These, then the file's, then the defaults.
    pub(crate) fn settle(self, file: &ConfigFile) -> Result<Serving, Usage> {
        let theirs: Self = file.read()?;
        if theirs.drain_seconds.is_some_and(|seconds| seconds > 3600) {
            return Err(Usage("`drain_seconds` must lie between 0 and 3600".to_owned()));
        }
        let allow = [self.allow_network, theirs.allow_network];
        let trusted = [self.trusted_proxy, theirs.trusted_proxy];
        Ok(Serving {
            listen: self.listen.or(theirs.listen).unwrap_or(DEFAULT_LISTEN),
            dev: self.dev.or(theirs.dev).unwrap_or(false),
            allow_network: allow.into_iter().find(|nets| !nets.is_empty()).unwrap_or_default(),
            public_url: self.public.settle(file)?,
            trusted_proxies: trusted
                .into_iter()
                .find(|networks| !networks.is_empty())
                .unwrap_or_else(this_machine),
            drain: Duration::from_secs(
                self.drain_seconds.or(theirs.drain_seconds).unwrap_or(20).into(),
            ),
            role: self.role.or(theirs.role).unwrap_or_default(),
            node_name: self.node_name.or(theirs.node_name).unwrap_or_else(machine_name),
            log: self.log.or(theirs.log).unwrap_or_else(|| "info".to_owned()),
            commit_delay: self
                .bench_commit_delay_ms
                .or(theirs.bench_commit_delay_ms)
                .map(|millis| Duration::from_millis(millis.into())),
        })
    }
}

/// The beginning of our links: scheme and host, perhaps with a port.
fn base_url(text: &str) -> Result<String, Usage> {
    let wrong = || {
        let wanted = "must be http:// or https:// and a host, such as https://abide.example.org";
        Usage(format!("the public URL (`--public-url`) {wanted}"))
    };
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(host)) = (url.scheme_str(), url.authority()) else {
        return Err(wrong());
    };
    let is_bare = url.path() == "/" && url.query().is_none() && !host.as_str().contains('@');
    if !is_bare || !["http", "https"].contains(&scheme) || host.host().is_empty() {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{host}"))
}

/// Every loopback address.
pub(crate) fn this_machine() -> Vec<IpNet> {
    let v4 = IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8);
    vec![v4, IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))]
}

/// Where `serve` listens unless told otherwise.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);

/// An address to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let wanted = "must be an IP address and a port, such as 127.0.0.1:8420 or [::1]:8420";
    text.parse().map_err(|_| wanted.to_owned())
}

/// A network.
fn network(text: &str) -> Result<IpNet, String> {
    let wanted = "must be a network, such as 10.20.0.0/16, or 10.20.0.7/32 for one address";
    text.parse().map_err(|_| wanted.to_owned())
}

impl ConfigFile {
    /// The settings of one kind in the file; none without a file.
    fn read<T: Default + for<'de> Deserialize<'de>>(&self) -> Result<T, Usage> {
        let Some(path) = &self.config else { return Ok(T::default()) };
        let named =
            |problem: &dyn std::fmt::Display| Usage(format!("{}: {problem}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| named(&error))?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| named(&error))?;
        let known = known_keys();
        if let Some(key) = table.keys().find(|key| !known.contains(key)) {
            return Err(named(&format!("unknown key `{key}`; known are {}", known.join(", "))));
        }
        toml::from_str(&text).map_err(|error| named(&error))
    }
}

/// The keys of the file: the names of the flags.
fn known_keys() -> Vec<String> {
    let flags = ServeSettings::augment_args(PlaceSettings::augment_args(clap::Command::new("")));
    flags.get_arguments().map(|flag| flag.get_id().to_string()).collect()
}

/// Variables that begin as ours do and that nothing reads: slips of the pen, most likely. Those that Kubernetes sets for
/// a service called `abide` are none.
pub(crate) fn unknown_variables(
    given: impl Iterator<Item = std::ffi::OsString>,
    command: &clap::Command,
) -> Vec<String> {
    fn known(command: &clap::Command, into: &mut Vec<String>) {
        let variables = command.get_arguments().filter_map(clap::Arg::get_env);
        into.extend(variables.filter_map(|name| name.to_str().map(str::to_owned)));
        command.get_subcommands().for_each(|under| known(under, into));
    }
    let mut names = Vec::new();
    known(command, &mut names);
    let is_unknown = |name: &String| {
        name.strip_prefix("ABIDE_").is_some_and(|rest| {
            !rest.starts_with("PORT_") && !rest.starts_with("SERVICE_") && !names.contains(name)
        })
    };
    let mut unknown: Vec<_> =
        given.filter_map(|name| name.into_string().ok()).filter(is_unknown).collect();
    unknown.sort_unstable();
    unknown
}

/// `abide-data` → `abide-data.key`, wherever `abide-data` is and however it is spelled.
pub(crate) fn beside(data: &Path, ending: &str) -> Result<PathBuf, Usage> {
    let nameless = || {
        Usage(format!(
            "no name for a key file beside {}: say where it is with --master-key",
            data.display()
        ))
    };
    let whole = fs::canonicalize(data).or_else(|_| std::path::absolute(data));
    let whole = whole.map_err(|_| nameless())?;
    let mut name = whole.file_name().ok_or_else(nameless)?.to_owned();
    name.push(ending);
    Ok(whole.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, text: &str) -> ConfigFile {
        let path = folder.join("abide.toml");
        fs::write(&path, text).unwrap();
        ConfigFile { config: Some(path) }
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let serving = ServeSettings::default().settle(&ConfigFile::default()).unwrap();
        assert_eq!(serving.listen.to_string(), "127.0.0.1:8420");
        assert!(!serving.dev);
        assert_eq!(serving.drain, Duration::from_secs(20));
        assert_eq!(serving.log, "info");
        assert_eq!(serving.public_url, None);
        let trusted = |text: &str| {
            let address: IpAddr = text.parse().unwrap();
            serving.trusted_proxies.iter().any(|network| network.contains(&address))
        };
        assert!(trusted("127.0.0.1") && trusted("::1") && !trusted("10.0.0.1"));
        let place = PlaceSettings::default().settle(&ConfigFile::default()).unwrap();
        assert_eq!(place.data, Path::new("abide-data"));
        assert!(place.key_file.ends_with("abide-data.key"));
        assert!(place.journal.ends_with("abide-data.key.erasures"));
    }

    #[test]
    fn every_key_of_the_file_is_taken_and_a_flag_wins_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(
            folder.path(),
            "data = \"d\"\nmaster_key = \"k\"\nerasure_journal = \"j\"\nlisten = \"[::1]:1\"\ndev = true\n\
             allow_network = [\"10.0.0.0/8\"]\npublic_url = \"https://abide.example.org/\"\n\
             trusted_proxy = [\"10.1.0.0/16\"]\ndrain_seconds = 3\nlog = \"warn\"\n\
             role = \"api\"\nnode_name = \"north\"\ndatabase_url = \"postgres://us@db/abide\"\nbench_commit_delay_ms = 4\n",
        );
        let place = PlaceSettings::default().settle(&file).unwrap();
        let url = DatabaseUrl("postgres://us@db/abide".to_owned());
        let whole = Place {
            data: "d".into(),
            key_file: "k".into(),
            journal: "j".into(),
            database_url: Some(url),
        };
        assert_eq!(place, whole);
        let from_file = ServeSettings::default().settle(&file).unwrap();
        let expected = Serving {
            listen: "[::1]:1".parse().unwrap(),
            dev: true,
            allow_network: vec!["10.0.0.0/8".parse().unwrap()],
            public_url: Some("https://abide.example.org".to_owned()),
            trusted_proxies: vec!["10.1.0.0/16".parse().unwrap()],
            drain: Duration::from_secs(3),
            role: Role::Api,
            node_name: "north".to_owned(),
            log: "warn".to_owned(),
            commit_delay: Some(Duration::from_millis(4)),
        };
        assert_eq!(from_file, expected);
        let flags = ServeSettings {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            dev: Some(false),
            allow_network: vec!["fd00::/8".parse().unwrap()],
            public: PublicSettings { public_url: Some("http://127.0.0.1:9".to_owned()) },
            trusted_proxy: vec!["fd01::/16".parse().unwrap()],
            drain_seconds: Some(0),
            role: Some(Role::Deliver),
            node_name: None,
            log: Some("error".to_owned()),
            bench_commit_delay_ms: None,
        };
        let serving = flags.settle(&file).unwrap();
        assert_eq!(serving.listen.port(), 2);
        assert!(!serving.dev);
        assert_eq!(serving.allow_network, ["fd00::/8".parse::<IpNet>().unwrap()]);
        assert_eq!((serving.drain, serving.log.as_str()), (Duration::ZERO, "error"));
        assert_eq!(serving.public_url.as_deref(), Some("http://127.0.0.1:9"));
        assert_eq!(serving.trusted_proxies, ["fd01::/16".parse::<IpNet>().unwrap()]);
        let mut known = known_keys();
        known.sort();
        let all = [
            "allow_network",
            "bench_commit_delay_ms",
            "data",
            "database_url",
            "dev",
            "drain_seconds",
            "erasure_journal",
            "listen",
            "log",
            "master_key",
            "node_name",
            "public_url",
            "role",
            "trusted_proxy",
        ];
        assert_eq!(known, all, "a new setting has its line in this test's file too");
    }

    #[test]
    fn an_unknown_key_and_a_wrong_value_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (text, named) in [
            ("lisen = \"127.0.0.1:1\"", "unknown key `lisen`"),
            ("config = \"x\"", "unknown key `config`"),
            ("listen = \"here\"", "listen"),
            ("drain_seconds = 4000", "`drain_seconds`"),
            ("dev = \"yes\"", "dev"),
            ("allow_network = [\"10.0.0.0/99\"]", "allow_network"),
            ("trusted_proxy = [\"everybody\"]", "trusted_proxy"),
            ("public_url = \"abide.example.org\"", "public URL"),
            ("public_url = \"ftp://abide.example.org\"", "public URL"),
            ("public_url = \"https://abide.example.org/sub\"", "public URL"),
            ("public_url = \"https://u:p@abide.example.org\"", "public URL"),
            ("listen", "line 1"),
        ] {
            let problem = ServeSettings::default().settle(&file(folder.path(), text)).unwrap_err();
            assert!(problem.0.contains(named), "{text}: {problem}");
        }
        let gone = ConfigFile { config: Some(folder.path().join("none.toml")) };
        assert!(ServeSettings::default().settle(&gone).unwrap_err().0.contains("none.toml"));
    }

    #[test]
    fn a_variable_that_nothing_reads_is_found() {
        let command = ServeSettings::augment_args(clap::Command::new("abide"));
        let given = [
            "ABIDE_LISTEN",
            "ABIDE_LISTENS",
            "ABIDE_",
            "PATH",
            "abide_dev",
            "ABIDE_SERVICE_HOST",
            "ABIDE_PORT_80_TCP",
            "ABIDE_PORT",
        ];
        let unknown = unknown_variables(given.into_iter().map(Into::into), &command);
        assert_eq!(unknown, ["ABIDE_", "ABIDE_LISTENS", "ABIDE_PORT"]);
    }

    #[test]
    fn the_key_file_lies_beside_the_folder_however_that_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(real.join("data")).unwrap();
        for spelling in ["data", "data/", "./data/.", "data/../data"] {
            let found = beside(&real.join(spelling), ".key").unwrap();
            assert_eq!(found, real.join("data.key"), "{spelling}");
        }
        assert!(beside(Path::new("/"), ".key").is_err());
    }
}
