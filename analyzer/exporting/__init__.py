"""What `demurrage export` writes: tables for tools of business intelligence, as Parquet files."""
