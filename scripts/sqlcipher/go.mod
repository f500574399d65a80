module healthledger/scripts/sqlcipher

go 1.26

require github.com/mutecomm/go-sqlcipher/v4 v4.4.2
