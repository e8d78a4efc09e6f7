import { stringify } from 'csv-stringify/sync';
import { FAMILY, GIVEN } from './names.ts';
import { type Phones, phones } from './phones.ts';
import { type Random, seeded } from './random.ts';

export interface SampleSite {
  code: string;
  name: string;
  level: 'elementary' | 'middle' | 'high';
  callbackPhone: string;
  callerId: string;
}

export interface SampleDistrict {
  district: { name: string; zone: string; country: string; callbackPhone: string };
  sites: SampleSite[];
  studentsCsv: string;
  contactsCsv: string;
  attendanceCsv: string;
}

const DISTRICT = {
  name: 'Cottonwood Valley School District',
  zone: 'America/Denver',
  country: 'US',
  callbackPhone: '+13035550100',
};

const SITES: SampleSite[] = [
  site('ELM', 'Prairie View Elementary School', 'elementary', '10'),
  site('MID', 'Cottonwood Middle School', 'middle', '20'),
  site('HGH', 'Bear Creek High School', 'high', '30'),
];

function site(code: string, name: string, level: SampleSite['level'], line: string): SampleSite {
  return { code, name, level, callbackPhone: `+130355501${line}`, callerId: `+130355501${line}` };
}

const GRADES: Record<string, string[]> = {
  ELM: ['K', '1', '2', '3', '4', '5'],
  MID: ['6', '7', '8'],
  HGH: ['9', '10', '11', '12'],
};

const HOUSEHOLDS = 330;
/** Households with an unexcused absence today; the first of them have odd sets of phones. */
const ABSENT = 41;
const WITHOUT_PHONE = 2;
const WITH_ONE_PHONE = 5;

/**
 * How the home phones of the absent households behave, besides people: enough of each to see it in the
 * report, few of those that ring for long, so that a demonstration is short.
 */
const SPECIALS: Record<string, number> = {
  'late-answer': 2,
  busy: 2,
  'no-answer': 2,
  voicemail: 10,
  'bad-number': 1,
  gone: 1,
  incomplete: 1,
  blocked: 1,
  declined: 1,
  overloaded: 1,
  'early-hang-up': 2,
  'hang-up-at-once': 1,
  'press-1': 5,
  'press-2': 2,
};

interface Household {
  language: 'en' | 'es';
  schools: string[];
  family: string;
  /** The students' own two phones; empty where there is none. */
  home: [string, string];
  absent: boolean;
}

/**
 * A made-up district: three schools, 330 households, about 440 students, and the absences of `date`
 * (YYYY-MM-DD). The same on every run but for the date. No phone belongs to two households.
 */
export function sampleDistrict({ date }: { date: string }): SampleDistrict {
  const random = seeded(20_260_901);
  const book = phones(random);
  const students: string[][] = [];
  const contacts: string[][] = [];
  const attendance: string[][] = [];
  const specials = random.shuffled(specialPhones());

  for (let index = 0; index < HOUSEHOLDS; index++) {
    const household = makeHousehold(index, { random, book, specials });
    const parents = makeContacts(household, index, { random, book });
    household.schools.forEach((school, place) => {
      const id = String(100_001 + students.length);
      students.push([
        id,
        school,
        random.pick(GIVEN[household.language]),
        household.family,
        random.pick(GRADES[school] ?? []),
        household.language,
        ...household.home,
      ]);
      for (const parent of parents) contacts.push([id, ...parent]);
      // Of two siblings in absent households usually both stay at home.
      if (household.absent && (place === 0 || random.chance(75)))
        attendance.push([id, date, 'all', 'unexcused']);
      else if (!household.absent && index % 40 === 7) attendance.push([id, date, 'all', 'excused']);
      else if (!household.absent && index % 30 === 11)
        attendance.push([id, date, String(1 + random.integer(3)), 'tardy']);
    });
  }
  return {
    district: DISTRICT,
    sites: SITES,
    studentsCsv: csv(STUDENT_COLUMNS, students),
    contactsCsv: csv(CONTACT_COLUMNS, contacts),
    attendanceCsv: csv(['student_id', 'date', 'period', 'code'], attendance),
  };
}

const STUDENT_COLUMNS = [
  'student_id',
  'school_code',
  'first_name',
  'last_name',
  'grade',
  'language',
  'primary_phone',
  'secondary_phone',
];
const CONTACT_COLUMNS = [
  'student_id',
  'contact',
  'first_name',
  'last_name',
  'language',
  'home_phone',
  'mobile_phone',
  'work_phone',
  'email',
];

/** CRLF, as exports from Windows have it. */
const csv = (columns: string[], records: string[][]): string =>
  stringify([columns, ...records], { record_delimiter: 'windows' });

/** The behaviours of all home phones of the absent households. */
function specialPhones(): string[] {
  const total = 2 * (ABSENT - WITHOUT_PHONE) - WITH_ONE_PHONE;
  const behaviours = Object.entries(SPECIALS).flatMap(([name, count]) => Array<string>(count).fill(name));
  return [...behaviours, ...Array<string>(total - behaviours.length).fill('person')];
}

interface Sources {
  random: Random;
  book: Phones;
}

function makeHousehold(
  index: number,
  { random, book, specials }: Sources & { specials: string[] },
): Household {
  const language = random.chance(34) ? 'es' : 'en';
  // The absent households are spread over the file, and so over the schools.
  const order = index % 8 === 3 ? Math.floor(index / 8) : ABSENT;
  const absent = order < ABSENT;
  const next = () =>
    book.next(absent ? (specials.pop() ?? 'person') : random.chance(12) ? 'voicemail' : 'person');
  const first = absent && order < WITHOUT_PHONE ? '' : next();
  const second = absent && order < WITHOUT_PHONE + WITH_ONE_PHONE ? '' : next();
  return {
    language,
    schools: makeSchools(random),
    family: random.pick(FAMILY[language]),
    home: [first, second],
    absent,
  };
}

/** One to three children; siblings are mostly in different schools. */
function makeSchools(random: Random): string[] {
  const codes = random.shuffled(SITES.map(({ code }) => code));
  if (random.chance(70)) return codes.slice(0, 1);
  if (random.chance(80)) return codes.slice(0, 2);
  return random.chance(50) ? codes : [...codes.slice(0, 1), ...codes.slice(0, 1)];
}

/** The cells of the main and the secondary contact, from `contact` on. */
function makeContacts(household: Household, index: number, { random, book }: Sources): string[][] {
  const { language, family, home } = household;
  const unreachable = home[0] === '';
  const mobile = () => (unreachable ? '' : book.next('person'));
  const work = () => (unreachable || random.chance(25) ? '' : book.next('person'));
  // The second phone of the students is the second contact's home; without it they live together.
  return [
    { contact: 'main', phone: home[0], surname: family },
    {
      contact: 'secondary',
      phone: home[1] || home[0],
      surname: random.chance(60) ? family : random.pick(FAMILY[language]),
    },
  ].map(({ contact, phone, surname }) => [
    contact,
    random.pick(GIVEN[language]),
    surname,
    // A few grandparents speak the other language.
    contact === 'secondary' && random.chance(5) ? (language === 'es' ? 'en' : 'es') : language,
    phone,
    mobile(),
    work(),
    `${contact}.household${index + 1}@example.org`,
  ]);
}
