//! `#[derive(FromRow)]` of the crate `pg`.

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

/// Reads a struct from a row whose columns have the names of its fields.
#[proc_macro_derive(FromRow)]
pub fn from_row(input: TokenStream) -> TokenStream {
    let DeriveInput { ident, data, .. } = parse_macro_input!(input);
    let fields = match data {
        syn::Data::Struct(data) => data.fields.members().collect(),
        syn::Data::Enum(_) | syn::Data::Union(_) => Vec::new(),
    };
    quote! {
        impl pg::FromRow for #ident {
            fn from_row(row: &tokio_postgres::Row) -> Result<Self, pg::DbError> {
                Ok(Self { #(#fields: pg::column(row, stringify!(#fields))?),* })
            }
        }
    }
    .into()
}
