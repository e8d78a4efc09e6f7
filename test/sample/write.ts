/**
 * Writes the sample district's files: `node test/sample/write.ts [YYYY-MM-DD] [FOLDER]`. Attendance is of that
 * date, by default today's in the district's zone; the folder is by default this one.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sampleDistrict } from './district.ts';

// en-CA writes dates as YYYY-MM-DD.
const today = new Intl.DateTimeFormat('en-CA', { timeZone: 'America/Denver' }).format(new Date());
const [date = today, folder = import.meta.dirname] = process.argv.slice(2);
const { studentsCsv, contactsCsv, attendanceCsv } = sampleDistrict({ date });
for (const [name, content] of Object.entries({
  'students.csv': studentsCsv,
  'contacts.csv': contactsCsv,
  'attendance.csv': attendanceCsv,
}))
  writeFileSync(join(folder, name), content);
