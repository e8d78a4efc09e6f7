-- A correction goes to those who heard something of another broadcast. Its audience grows while the last live
-- calls of that one end.

alter table broadcasts add column corrects uuid references broadcasts;
create index broadcasts_corrects on broadcasts (corrects) where corrects is not null;
