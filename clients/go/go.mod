module jobmill

go 1.19
