//! For those who stand between an engine and its store: to lose calls, to hold them up, to watch them.

/// The items of a `Storage` that hands everything to the one in its field `$store`, but for deliveries and what is attached:
/// those are why anybody stands between.
#[macro_export]
macro_rules! all_but_deliveries {
    ($store:ident) => {
        fn accounts(&self) -> &dyn $crate::Accounts {
            $crate::Storage::accounts(&*self.$store)
        }
        fn blobs(&self) -> &dyn $crate::Blobs {
            $crate::Storage::blobs(&*self.$store)
        }
        fn consents(&self) -> &dyn $crate::Consents {
            $crate::Storage::consents(&*self.$store)
        }
        fn counts(&self) -> &dyn $crate::Counts {
            $crate::Storage::counts(&*self.$store)
        }
        fn deletions(&self) -> &dyn $crate::Deletions {
            $crate::Storage::deletions(&*self.$store)
        }
        fn delivery_log(&self) -> &dyn $crate::DeliveryLog {
            $crate::Storage::delivery_log(&*self.$store)
        }
        fn endpoints(&self) -> &dyn $crate::Endpoints {
            $crate::Storage::endpoints(&*self.$store)
        }
        fn erasures(&self) -> &dyn $crate::Erasures {
            $crate::Storage::erasures(&*self.$store)
        }
        fn exports(&self) -> &dyn $crate::Exports {
            $crate::Storage::exports(&*self.$store)
        }
        fn failing_endpoints(&self) -> &dyn $crate::FailingEndpoints {
            $crate::Storage::failing_endpoints(&*self.$store)
        }
        fn feeds(&self) -> &dyn $crate::Feeds {
            $crate::Storage::feeds(&*self.$store)
        }
        fn history(&self) -> &dyn $crate::History {
            $crate::Storage::history(&*self.$store)
        }
        fn idempotency(&self) -> &dyn $crate::Idempotency {
            $crate::Storage::idempotency(&*self.$store)
        }
        fn imports(&self) -> &dyn $crate::Imports {
            $crate::Storage::imports(&*self.$store)
        }
        fn jobs(&self) -> &dyn $crate::Jobs {
            $crate::Storage::jobs(&*self.$store)
        }
        fn keys(&self) -> &dyn $crate::Keys {
            $crate::Storage::keys(&*self.$store)
        }
        fn leases(&self) -> &dyn $crate::Leases {
            $crate::Storage::leases(&*self.$store)
        }
        fn nodes(&self) -> &dyn $crate::Nodes {
            $crate::Storage::nodes(&*self.$store)
        }
        fn policies(&self) -> &dyn $crate::Policies {
            $crate::Storage::policies(&*self.$store)
        }
        fn purposes(&self) -> &dyn $crate::Purposes {
            $crate::Storage::purposes(&*self.$store)
        }
        fn retentions(&self) -> &dyn $crate::Retentions {
            $crate::Storage::retentions(&*self.$store)
        }
        fn subjects(&self) -> &dyn $crate::Subjects {
            $crate::Storage::subjects(&*self.$store)
        }
        fn users(&self) -> &dyn $crate::Users {
            $crate::Storage::users(&*self.$store)
        }
        fn doorbell(&self) -> &$crate::Doorbell {
            $crate::Storage::doorbell(&*self.$store)
        }
        fn metrics(&self) -> &std::sync::Arc<$crate::Metrics> {
            $crate::Storage::metrics(&*self.$store)
        }
        fn broken(&self) -> Option<String> {
            $crate::Storage::broken(&*self.$store)
        }
        fn close(&self) {
            $crate::Storage::close(&*self.$store);
        }
    };
}
