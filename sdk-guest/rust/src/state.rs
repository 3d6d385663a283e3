//! State stores: the traits of the `proa:state` interfaces. What each call means stands in `wit/state/state.wit`.

pub use crate::wit::state_types::proa::state::types::*;

pub mod store {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::state_store::exports::proa::state::store as export;
    pub use crate::wit::state_store::*;

    pub trait Store: Component {
        fn get(&self, request: GetRequest) -> impl Future<Output = Result<Option<Item>, Error>>;
        fn set(&self, request: SetRequest) -> impl Future<Output = Result<(), Error>>;
        fn delete(&self, request: DeleteRequest) -> impl Future<Output = Result<(), Error>>;
    }

    impl<T: Store> export::Guest for Glue<T> {
        async fn get(request: GetRequest) -> Result<Option<Item>, Error> {
            <T as Store>::get(&*glue::get::<T>(), request).await
        }
        async fn set(request: SetRequest) -> Result<(), Error> {
            <T as Store>::set(&*glue::get::<T>(), request).await
        }
        async fn delete(request: DeleteRequest) -> Result<(), Error> {
            <T as Store>::delete(&*glue::get::<T>(), request).await
        }
    }
}

pub mod transactions {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::state_transactions::exports::proa::state::transactions as export;
    pub use crate::wit::state_transactions::*;

    pub trait Transactions: Component {
        fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> impl Future<Output = Result<(), Error>>;
        fn max_operations() -> u32;
    }

    impl<T: Transactions> export::Guest for Glue<T> {
        async fn transact(operations: Vec<Operation>, metadata: Metadata) -> Result<(), Error> {
            <T as Transactions>::transact(&*glue::get::<T>(), operations, metadata).await
        }
        fn max_operations() -> u32 {
            <T as Transactions>::max_operations()
        }
    }
}

pub mod bulk {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::state_bulk::exports::proa::state::bulk as export;
    pub use crate::wit::state_bulk::*;

    pub trait Bulk: Component {
        fn get_bulk(&self, requests: Vec<GetRequest>) -> impl Future<Output = Vec<Result<Option<Item>, Error>>>;
        fn set_bulk(&self, requests: Vec<SetRequest>) -> impl Future<Output = Vec<Result<(), Error>>>;
        fn delete_bulk(&self, requests: Vec<DeleteRequest>) -> impl Future<Output = Vec<Result<(), Error>>>;
    }

    impl<T: Bulk> export::Guest for Glue<T> {
        async fn get_bulk(requests: Vec<GetRequest>) -> Vec<Result<Option<Item>, Error>> {
            <T as Bulk>::get_bulk(&*glue::get::<T>(), requests).await
        }
        async fn set_bulk(requests: Vec<SetRequest>) -> Vec<Result<(), Error>> {
            <T as Bulk>::set_bulk(&*glue::get::<T>(), requests).await
        }
        async fn delete_bulk(requests: Vec<DeleteRequest>) -> Vec<Result<(), Error>> {
            <T as Bulk>::delete_bulk(&*glue::get::<T>(), requests).await
        }
    }
}

pub mod query {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::state_query::exports::proa::state::query as export;
    pub use crate::wit::state_query::*;

    pub use export::QueryResult;

    pub trait Query: Component {
        fn query(&self, query: String, metadata: Metadata) -> impl Future<Output = Result<QueryResult, Error>>;
    }

    impl<T: Query> export::Guest for Glue<T> {
        async fn query(query: String, metadata: Metadata) -> Result<QueryResult, Error> {
            <T as Query>::query(&*glue::get::<T>(), query, metadata).await
        }
    }
}

pub mod list_keys {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::state_list_keys::exports::proa::state::list_keys as export;
    pub use crate::wit::state_list_keys::*;

    pub use export::Page;

    pub trait ListKeys: Component {
        fn list_keys(&self, pattern: String, page_size: u32, token: Option<String>) -> impl Future<Output = Result<Page, Error>>;
    }

    impl<T: ListKeys> export::Guest for Glue<T> {
        async fn list_keys(pattern: String, page_size: u32, token: Option<String>) -> Result<Page, Error> {
            <T as ListKeys>::list_keys(&*glue::get::<T>(), pattern, page_size, token).await
        }
    }
}

pub mod delete_prefix {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::state_delete_prefix::exports::proa::state::delete_prefix as export;
    pub use crate::wit::state_delete_prefix::*;

    pub trait DeletePrefix: Component {
        fn delete_with_prefix(&self, prefix: String) -> impl Future<Output = Result<u64, Error>>;
    }

    impl<T: DeletePrefix> export::Guest for Glue<T> {
        async fn delete_with_prefix(prefix: String) -> Result<u64, Error> {
            <T as DeletePrefix>::delete_with_prefix(&*glue::get::<T>(), prefix).await
        }
    }
}
